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

from crawl import names, urls
from crawl.errors import FetchError
from crawl.records import FetchRequest
from worker.fetch import fetch, fetch_robots
from worker.guard import Guard
from worker.parse import parse
from worker.robots import Rules, denial_of, product_token, verdict_of
from worker.sessions import Web

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawl.records import CrawlOptions, PageRef
    from crawl.settings import Settings

#: Directives of a page that keep us from following its links.
_STAY = frozenset({"nofollow", "none"})


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
    web = Web(Guard(allow, (*options.resolve, *settings.resolve)), slots=1)
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
        self._scope = urls.Scope(options)
        self._token = product_token(options.user_agent)
        self._origins: dict[str, _Origin] = {}
        #: When a host may be asked next, on `time.monotonic`.
        self._due: dict[str, float] = {}
        self._judged: set[str] = set()
        self._admitted = 0
        self._of_host: Counter[str] = Counter()

    def run(self) -> None:
        """Ask for every seed that may be asked for, and judge what it links to."""
        seeds = list(dict.fromkeys(self._plain(seed) for seed in self._options.seeds))
        admitted = [seed for seed in seeds if self._judge_seed(seed)]
        for seed in admitted:
            self._visit(seed)

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
        self.fetched += 1
        target = self._plain(target)
        self._say(f"{seed}: {ref.status}, redirects to {target}; name that as the seed to see its links")
        self._scope.widen([target])
        self._link(target, names.REDIRECT, 0, seed)

    def _page(self, seed: str, ref: PageRef, body: bytes) -> None:
        try:
            document = parse(seed, body, ref.content_type, ref.charset, self._options.max_links)
        except FetchError as error:
            self._say(f"{seed}: failed, {error.reason}: {error.detail}")
            return
        self.fetched += 1
        if self._options.drop_query:
            document = document.without_parameters(self._options.drop_query)
        self._say(f"{seed}: {ref.status}, {len(document.links)} links")
        stay = self._options.robots == "obey" and not _STAY.isdisjoint(document.robots)
        for link in document.links:
            if stay:
                self._refuse_nofollow(link, seed)
            else:
                self._link(link, names.LINK, 1, seed)

    def _refuse_nofollow(self, link: str, seed: str) -> None:
        verdict = urls.Verdict("robots", "nofollow", "the page asks not to follow its links")
        self._judge(link, verdict, names.LINK, 1, seed, None)

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
        verdict: urls.Verdict,
        via: str,
        depth: int,
        parent: str | None,
        origin: _Origin | None,
    ) -> bool:
        """Tell the verdict on a URL; return whether it would be admitted and fetched."""
        if not verdict.refusal:
            verdict = self._capped(url) or verdict
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

    def _capped(self, url: str) -> urls.Verdict | None:
        most, of_host = self._options.max_pages, self._options.max_pages_per_host
        if most is not None and self._admitted >= most:
            return urls.Verdict("capped", "--max-pages", f"--max-pages {most} is reached before it")
        if of_host is not None and self._of_host[urls.host_of(url)] >= of_host:
            why = f"--max-pages-per-host {of_host} is reached before it"
            return urls.Verdict("capped", "--max-pages-per-host", why)
        return None

    def _by_robots(self, url: str, origin: _Origin | None) -> urls.Verdict | None:
        """Return robots.txt's refusal, or None; whoever is not asked refuses nothing."""
        if origin is None:
            return None
        if origin.denial:
            return urls.Verdict("robots", "robots.txt", origin.denial)
        if origin.rules is None or origin.rules.allowed(url, self._token):
            return None
        return urls.Verdict("robots", "robots.txt", told_rule(origin.rules, url, self._token))

    def _robots(self, url: str) -> _Origin:
        origin = urls.origin_of(url)
        known = self._origins.get(origin)
        if known is None:
            known = self._origins[origin] = self._robots_of(origin)
        return known

    def _robots_of(self, origin: str) -> _Origin:
        if self._options.robots != "obey":
            return _Origin(None, "", self._options.delay_s)
        request = FetchRequest(url=f"{origin}/robots.txt", kind=names.ROBOTS)
        self._wait(origin)
        ref, body = fetch_robots(request, 0, self._web, self._options, _clock_ms)
        verdict = verdict_of(ref, body)
        rules, denial, delay_s = None, "", self._options.delay_s
        if verdict == "rules" and body is not None:
            rules = Rules.from_text(body)
            asked_s = rules.crawl_delay(self._token) or 0.0
            delay_s = max(delay_s, min(asked_s, self._options.max_crawl_delay_s))
        elif verdict == "deny":
            denial = denial_of(ref) or f"robots.txt could not be had: {ref.detail or ref.reason}"
        self._asked(origin, delay_s)
        self._say(f"{origin}/robots.txt: {ref.status or ref.reason}, {_MEANING[verdict]}")
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
    """Return the line of robots.txt that decides on a URL, where the reader of the rules can tell it."""
    rule_of = getattr(rules, "rule_of", None)
    rule = rule_of(url, token) if rule_of else None
    allowed = rules.allowed(url, token)
    if rule:
        return f"robots.txt {'allows' if allowed else 'disallows'} it: {rule}"
    return "no rule of robots.txt forbids it" if allowed else "robots.txt disallows it"
