"""`crawl --dry-run`: ask for robots.txt and the seeds alone, and say of each link what a crawl would do with it.

No Redis, no workers, no crawl: the same fetch, guard, parse and scope in this one process, one request at a time.
Verdicts go to stdout, progress to stderr.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from crawl import names, traps, urls
from crawl.admission import may_follow
from crawl.errors import FetchError
from crawl.records import FetchRequest
from crawl.scope import Scope, Verdict
from worker.fetch import fetch, fetch_robots
from worker.guard import Guard
from worker.parse import directives, parse
from worker.proxy import Proxy
from worker.robots import Rules, answer_of, product_token
from worker.sessions import Web

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawl.records import CrawlOptions, PageRef
    from crawl.settings import Settings


class Judged(msgspec.Struct, frozen=True):
    """What a crawl would do with one URL: `admitted`, or the word by which `status` would count it as refused.

    `rule` names the option or file that decided, `pattern` the pattern; `parent` is the page that links there.
    """

    verdict: str
    via: str
    url: str
    why: str
    rule: str
    depth: int
    pattern: str | None = None
    parent: str | None = None

    def line(self) -> str:
        """Return it for people."""
        return f"{self.verdict:<9} {self.via:<8} {self.url}  ({self.why})"


class _Origin(msgspec.Struct):
    """What an origin's robots.txt came to; `denial` says why nothing may be asked for, if that is so."""

    rules: Rules | None
    denial: str
    delay_s: float


def rehearse(settings: Settings, options: CrawlOptions, *, as_json: bool) -> int:
    """Judge the links of a crawl's seeds; return 0, or 1 when none of the seeds could be fetched."""
    allow = (*settings.allow_addresses, *(options.allow_addresses or ()))
    proxy = Proxy.from_url(settings.proxy) if settings.proxy else None
    web = Web(Guard(allow, (*options.resolve, *settings.resolve)), slots=1, proxy=proxy)
    counts: Counter[str] = Counter()

    def tell(judged: Judged) -> None:
        counts[judged.verdict] += 1
        print(msgspec.json.encode(judged).decode() if as_json else judged.line(), flush=True)

    try:
        rehearsal = Rehearsal(options, web, tell, _say)
        rehearsal.run()
    finally:
        web.close()
    if as_json:
        print(msgspec.json.encode({"counts": dict(counts), "fetched": rehearsal.fetched}).decode())
    else:
        print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "nothing to judge")
    return 0 if rehearsal.fetched else 1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _clock_ms() -> int:
    return int(time.time() * 1000)


class Rehearsal:
    """The loop over the seeds. `fetched` counts those that answered."""

    def __init__(
        self, options: CrawlOptions, web: Web, tell: Callable[[Judged], None], say: Callable[[str], None]
    ) -> None:
        self.fetched = 0
        self._options = options
        self._web = web
        self._tell = tell
        self._say = say
        self._scope = Scope(options)
        self._token = product_token(options.user_agent)
        self._origins: dict[str, _Origin] = {}
        #: When a host may be asked next, on `time.monotonic`.
        self._due: dict[str, float] = {}
        self._judged: set[str] = set()
        self._admitted = 0
        self._of_host: Counter[str] = Counter()
        self._of_pattern: Counter[str] = Counter()

    def run(self) -> None:
        """Ask for every seed that may be asked for, and judge what it links to."""
        seeds = list(dict.fromkeys(self._plain(seed) for seed in self._options.seeds))
        admitted = [seed for seed in seeds if self._judge_seed(seed)]
        for seed in admitted:
            self._visit(seed)
        if self._options.sitemaps:
            for origin, found in self._origins.items():
                declared = found.rules.sitemaps if found.rules is not None else []
                self._say(f"--sitemaps would read {', '.join(declared) or f'{origin}/sitemap.xml'}, too")

    def _plain(self, url: str) -> str:
        dropped = self._options.drop_query
        return urls.drop_query(url, dropped) if dropped else url

    def _judge_seed(self, seed: str) -> bool:
        verdict = self._scope.explain_seed(seed)
        return self._judge(
            seed, verdict, names.SEED, 0, None, self._robots(seed) if not verdict.refusal else None
        )

    def _visit(self, seed: str) -> None:
        origin = self._robots(seed)
        ref, body = self._ask(seed, origin.delay_s)
        if ref.outcome == "redirect":
            self._redirect(seed, ref)
        elif body is not None:
            self._page(seed, ref, body)
        else:
            if ref.reason == "content_type":
                self.fetched += 1
            self._say(f"{seed}: {ref.outcome}, {ref.reason}: {ref.detail}")

    def _redirect(self, seed: str, ref: PageRef) -> None:
        target = urls.join(seed, ref.location or "")
        if target is None:
            self._say(f"{seed}: failed, scheme: redirects to what is no http or https URL")
            return
        target = self._plain(target)
        if target == seed:
            self._say(f"{seed}: failed, redirects: it redirects to itself")
            return
        self.fetched += 1
        self._say(f"{seed}: {ref.status}, redirects to {target}; name that as the seed to see its links")
        self._scope.widen([target])
        self._link(target, names.REDIRECT, 0, seed)

    def _page(self, seed: str, ref: PageRef, body: bytes) -> None:
        options = self._options
        try:
            document = parse(seed, body, ref.content_type, ref.charset, options.max_links)
        except FetchError as error:
            self._say(f"{seed}: failed, {error.reason}: {error.detail}")
            return
        self.fetched += 1
        further = urls.join(seed, ref.refresh) if ref.refresh is not None else None
        found = [*document.links, further] if further is not None else document.links
        links = list(dict.fromkeys(map(self._plain, found)))
        self._say(f"{seed}: {ref.status}, {len(links)} links")
        via = names.SITEMAP if document.kind == names.SITEMAP else names.LINK
        said = directives.applying(document.robots_meta, ref.robots_tag, self._token)
        stay = not may_follow(options, said)
        for link in links:
            if stay:
                verdict = Verdict("nofollow", "nofollow", "the page asks not to follow its links")
                self._judge(link, verdict, via, 1, seed, None)
            else:
                self._link(link, via, 1, seed)

    def _link(self, url: str, via: str, depth: int, parent: str) -> None:
        if url not in self._judged:
            # Only the seeds' own sites are asked for their robots.txt.
            self._judge(
                url,
                self._scope.explain(url, depth),
                via,
                depth,
                parent,
                self._origins.get(urls.origin_of(url)),
            )

    def _judge(
        self,
        url: str,
        verdict: Verdict,
        via: str,
        depth: int,
        parent: str | None,
        origin: _Origin | None,
    ) -> bool:
        """Tell the verdict on a URL; return whether it would be admitted and fetched."""
        if not verdict.refusal:
            verdict = self._capped(url) or verdict
        if not verdict.refusal and via != names.SEED:
            verdict = self._trapped(url) or verdict
        if not verdict.refusal:
            self._admitted += 1
            self._of_host[urls.host_of(url)] += 1
            verdict = self._by_robots(url, origin) or verdict
        self._judged.add(url)
        self._tell(
            Judged(
                verdict.refusal or "admitted",
                via,
                url,
                verdict.why,
                verdict.rule,
                depth,
                verdict.pattern,
                parent,
            )
        )
        return not verdict.refusal

    def _capped(self, url: str) -> Verdict | None:
        most, of_host = self._options.max_pages, self._options.max_pages_per_host
        if most is not None and self._admitted >= most:
            return Verdict("capped", "--max-pages", f"--max-pages {most} is reached before it")
        if of_host is not None and self._of_host[urls.host_of(url)] >= of_host:
            why = f"--max-pages-per-host {of_host} is reached before it"
            return Verdict("capped", "--max-pages-per-host", why)
        return None

    def _trapped(self, url: str) -> Verdict | None:
        """Return why a URL would be parked, as far as the seeds' own links tell, or None."""
        pattern = traps.pattern_of(url) if self._options.traps == "park" else None
        if pattern is None:
            return None
        self._of_pattern[pattern] += 1
        if self._of_pattern[pattern] <= traps.budget_of(pattern, self._options):
            return None
        reason = traps.reason_of(pattern)
        return Verdict(reason.word, "--traps", f"it would be parked; {reason.detail}", pattern)

    def _by_robots(self, url: str, origin: _Origin | None) -> Verdict | None:
        """Return robots.txt's refusal, or None; whoever is not asked refuses nothing."""
        if origin is None:
            return None
        if origin.denial:
            return Verdict("robots", "robots.txt", origin.denial)
        if origin.rules is None or origin.rules.allowed(url, self._token):
            return None
        return Verdict("robots", "robots.txt", told_rule(origin.rules, url, self._token))

    def _robots(self, url: str) -> _Origin:
        origin = urls.origin_of(url)
        known = self._origins.get(origin)
        if known is None:
            known = self._origins[origin] = self._robots_of(origin)
        return known

    def _robots_of(self, origin: str) -> _Origin:
        options = self._options
        if options.robots != "obey":
            return _Origin(None, "", options.delay_s)
        request = FetchRequest(url=f"{origin}/robots.txt", kind=names.ROBOTS)
        while True:
            self._wait(request.url)
            ref, body = fetch_robots(request, 0, self._web, options, _clock_ms)
            self._asked(request.url, options.delay_s)
            answer = answer_of(origin, request, ref, body, options)
            if answer.ask_url is None:
                break
            request = msgspec.structs.replace(request, url=answer.ask_url, hops=answer.hops)
        delay_s = max(options.delay_s, answer.delay_ms / 1000)
        self._asked(origin, delay_s)
        self._say(f"{origin}/robots.txt: {ref.status or ref.reason}, {_MEANING[answer.verdict]}")
        rules = Rules.from_text(body, request.url) if answer.verdict == "rules" and body is not None else None
        denial = answer.body.partition(" ")[2] if answer.verdict == "deny" else ""
        return _Origin(rules, denial, delay_s)

    def _ask(self, url: str, delay_s: float) -> tuple[PageRef, bytes | None]:
        self._wait(url)
        answer = fetch(FetchRequest(url=url), 0, self._web, self._options, _clock_ms)
        self._asked(url, delay_s)
        return answer

    def _wait(self, url: str) -> None:
        pause_s = self._due.get(urls.host_of(url), 0.0) - time.monotonic()
        if pause_s > 0:
            time.sleep(pause_s)

    def _asked(self, url: str, delay_s: float) -> None:
        self._due[urls.host_of(url)] = time.monotonic() + delay_s


_MEANING = {
    "rules": "its rules are obeyed",
    "allow": "there is none, so everything may be asked for",
    "deny": "it could not be had, so nothing may be asked for",
}


def told_rule(rules: Rules, url: str, token: str) -> str:
    """Return the line of robots.txt that decides on a URL."""
    rule = rules.rule_of(url, token)
    if rule is None:
        return "no rule of robots.txt forbids it"
    return f"robots.txt {'allows' if rules.allowed(url, token) else 'disallows'} it: {rule}"
