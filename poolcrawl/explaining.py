"""`why`: everything a crawl knows of one URL, and the one sentence that it comes to."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from crawl import names, results, settings, tombstones, urls
from crawl.errors import PoolcrawlError, UsageError
from crawl.frontier import Frontier
from crawl.parked import parked_entry
from crawl.scope import Scope
from embedded.attachment import reading
from poolcrawl import inquiry
from poolcrawl.rehearsal import told_rule
from poolcrawl.spelling import merged
from poolcrawl.waits import Wait, now_for, waits
from worker.robots import Rules, product_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from crawl.records import CrawlOptions, FetchRequest, PageRecord
    from poolcrawl.inquiry import Attempt, Hop, Linked


class Judgement(msgspec.Struct, frozen=True):
    """A verdict and what it rests on: `admitted` or a refusal's word, the option or file that decided, its pattern."""

    verdict: str
    why: str
    rule: str | None = None
    pattern: str | None = None


class Told(msgspec.Struct):
    """What `why` tells; `--json` prints it as one object. Fields are only added, at the end."""

    crawl: str
    state: str
    typed: str
    url: str
    merged: list[str]
    conclusion: str
    scope: Judgement
    robots: Judgement
    seen: bool
    #: `record`, `waiting`, `delayed`, `suspect`, `leased`, `parked`, `trimmed`, or None.
    place: str | None
    depth: int | None
    via: str | None
    parent: str | None
    linked: Linked
    redirects: list[Hop]
    attempts: list[Attempt]
    record: PageRecord | None
    parked: str | None = None
    #: What it waited for before its last request, or has waited for until now.
    waits: list[Wait] = []
    #: What it waits for now.
    waiting_for: str | None = None
    #: What became of a record that was trimmed.
    trimmed: str | None = None


@click.command(epilog="Example: poolcrawl why shops https://example.com/cart?id=1")
@click.argument("words", nargs=-1, metavar="[CRAWL] URL")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def why(words: tuple[str, ...], *, as_json: bool) -> None:
    """Say what became of a URL in a crawl (default: the newest), and why."""
    if len(words) not in (1, 2):
        message = "give a crawl's name and a URL: poolcrawl why CRAWL URL"
        raise UsageError(message)
    seed = urls.judge_seed(words[-1])
    if seed.url is None:
        if len(words) == 1 and _names_no_page(words[0]):
            message = f"'{words[0]}' is no URL; give a URL: poolcrawl why {words[0] or 'CRAWL'} URL"
            raise UsageError(message)
        raise UsageError(seed.error)
    with reading(settings.load()) as client:
        told = explain(
            client, results.resolve(client, words[0] if len(words) == 2 else None), words[-1], seed.url
        )
    if as_json:
        print(msgspec.json.encode(told).decode())
    else:
        print("\n".join(lines(told)))


def _names_no_page(word: str) -> bool:
    """Whether a word is the name of a crawl, or could be that of one and not of a host."""
    if not re.search(r"[.:/]", word):
        return True
    with contextlib.suppress(PoolcrawlError), reading(settings.load()) as client:
        return word in results.crawls(client)
    return False


def explain(client: redis.Redis, crawl: str, typed: str, canonical: str) -> Told:
    """Return everything a crawl knows of a URL. Raises UnknownCrawlError."""
    stored = Frontier(client, crawl).options()
    if stored is None:
        raise results.unknown(client, crawl)
    options, _, _, state = stored
    url = urls.drop_query(canonical, options.drop_query) if options.drop_query else canonical
    record = inquiry.record_of(client, crawl, url)
    seen = record is not None or inquiry.seen(client, crawl, options, url)
    again = record is not None and inquiry.is_tried_again(client, crawl, url)
    found = inquiry.pending(client, crawl, url) if again or (seen and record is None) else None
    if found is None and seen and record is None:
        # It may have moved on while we looked.
        record = inquiry.record_of(client, crawl, url)
    trimmed = None
    if found is None and seen and record is None:
        stone = tombstones.of_url(client, crawl, url, options.seen_buckets)
        trimmed = f"{stone.outcome}; in {tombstones.place(client, crawl)}" if stone else None
    linked = inquiry.linked(client, crawl, url)
    parked = None if seen else parked_entry(client, crawl, url)
    known = record or (found[1] if found else None) or parked
    scope = _scope(
        client, crawl, options, url, known.via if known else None, _depth(client, crawl, known, linked)
    )
    told = Told(
        crawl=crawl,
        state=state,
        typed=urls.without_userinfo(typed),
        url=url,
        merged=merged(typed, canonical, url),
        conclusion="",
        scope=scope,
        robots=_robots(client, options, url),
        seen=seen,
        place=(
            found[0]
            if found
            else "record"
            if record
            else "parked"
            if parked
            else "trimmed"
            if trimmed
            else None
        ),
        depth=known.depth if known else None,
        via=known.via if known else None,
        parent=known.parent if known else None,
        linked=linked,
        redirects=inquiry.chain(client, crawl, url, record),
        attempts=inquiry.attempts(client, crawl, url) if seen else [],
        record=record,
        parked=parked.detail if parked else None,
        trimmed=trimmed,
    )
    _add_waits(client, options, told, found[1] if found else None)
    cut = _cut_chain(client, crawl, linked) if not seen and parked is None else None
    told.conclusion = cut or _conclusion(told, results.status(client, crawl).refused)
    return told


def _add_waits(client: redis.Redis, options: CrawlOptions, told: Told, request: FetchRequest | None) -> None:
    """Add what the URL waited for: until its last request, or until now."""
    tries = [(made.start_ms, made.end_ms) for made in told.attempts]
    record = told.record
    if request is not None:
        tries = [one for one in tries if one[0] >= request.queued_ms]
        now_ms = results.status(client, told.crawl).now_ms
        told.waits = waits(client, told.url, request.queued_ms, now_ms, tries)
        if told.place == "waiting":
            told.waiting_for = now_for(client, told.crawl, options, told.url)
    elif record is not None and record.queued_at and record.started_at:
        begin_ms, end_ms = _ms_of(record.queued_at), _ms_of(record.started_at)
        tries = [one for one in tries if begin_ms <= one[0] < end_ms]
        told.waits = waits(client, told.url, begin_ms, end_ms, tries)


def _ms_of(text: str) -> int:
    """Return Redis milliseconds of a record's time."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _depth(client: redis.Redis, crawl: str, known: object, linked: Linked) -> int:
    """Return the depth a URL has, or would have as far as the pages that lead to it are known."""
    if known is not None:
        return int(getattr(known, "depth", 0))
    depths = [] if linked.depth is None else [linked.depth]
    for page in linked.redirects:
        record = inquiry.record_of(client, crawl, page)
        depths += [record.depth] if record else []
    return min(depths, default=0)


def _cut_chain(client: redis.Redis, crawl: str, linked: Linked) -> str | None:
    """Return the sentence for a URL that only chains of redirects lead to, each of them too long; None otherwise."""
    if linked.count or not linked.redirects:
        return None
    why = None
    for page in linked.redirects:
        record = inquiry.record_of(client, crawl, page)
        if record is None or record.reason != "redirects":
            return None
        why = why or f"not admitted: {page} redirects to it, but {record.detail}"
    return why


def _scope(
    client: redis.Redis, crawl: str, options: CrawlOptions, url: str, via: str | None, depth: int
) -> Judgement:
    scope = Scope(options, inquiry.scope_seeds(client, crawl))
    verdict = scope.explain_seed(url) if via == names.SEED else scope.explain(url, depth)
    return Judgement(verdict.refusal or "admitted", verdict.why, verdict.rule, verdict.pattern)


def _robots(client: redis.Redis, options: CrawlOptions, url: str) -> Judgement:
    if options.robots != "obey":
        return Judgement("admitted", "robots.txt is not asked for (--robots ignore)", "--robots")
    answer = inquiry.robots(client, options, url)
    if answer is None:
        return Judgement("unknown", f"no answer to {urls.origin_of(url)}/robots.txt is kept", None)
    if answer.verdict == "allow":
        return Judgement("admitted", "there is no robots.txt, so everything may be asked for", "robots.txt")
    if answer.verdict == "deny":
        denial = answer.body.decode("utf-8", "replace").partition(" ")[2]
        return Judgement(
            "robots", denial or "robots.txt could not be had, so nothing may be asked for", "robots.txt"
        )
    rules, token = Rules.from_kept(answer.body), product_token(options.user_agent)
    verdict = "admitted" if rules.allowed(url, token) else "robots"
    return Judgement(verdict, told_rule(rules, url, token), "robots.txt")


def _conclusion(told: Told, refused: dict[str, int]) -> str:
    record, linked = told.record, told.linked
    if record is not None and told.place in _PLACES:
        what = f"{record.outcome}: {record.reason}; {record.detail or record.status}"
        return f"{what}; it is tried again: {_PLACES[told.place].removeprefix('admitted; ')}"
    if record is not None:
        if record.outcome == "ok":
            return f"fetched: {record.status}, {record.bytes} bytes, {len(record.links)} links"
        if record.outcome == "redirect":
            return f"fetched: {record.status}, redirects to {record.redirect_to}"
        return f"{record.outcome}: {record.reason}; {record.detail or record.status}"
    if told.parked is not None:
        return f"parked ({told.parked}); `poolcrawl release {told.crawl} --pattern PATTERN` admits it"
    if told.trimmed is not None:
        return f"its record was exported and trimmed: {told.trimmed}"
    if told.place is not None:
        return _PLACES[told.place]
    if told.seen and told.state in names.OVER:
        return "cancelled: it was admitted, and the crawl was cancelled before it was done"
    if told.seen:
        return "admitted; its record is not there (`poolcrawl audit` tells)"
    if not linked.count and not linked.redirects:
        return "never seen: no page links to it"
    if told.scope.verdict != "admitted":
        return f"not admitted: {told.scope.why}"
    if refused.get("nofollow") and linked.nofollow == linked.count and not linked.redirects:
        return "not admitted: every page that links to it forbids to follow its links (nofollow)"
    if refused.get("capped"):
        return "not admitted: a limit of pages (--max-pages, --max-pages-per-host) was reached before it"
    if told.state == "finished":
        return "linked, but not admitted"
    return "linked, but not admitted yet"


_PLACES = {
    "waiting": "admitted; it waits until its host may be asked",
    "delayed": "admitted; an attempt failed, another one is made later",
    "suspect": "admitted; workers ended twice while they had it, so it is tried alone",
    "leased": "admitted; a worker has it now",
}


def lines(told: Told) -> Iterator[str]:
    """Yield what is told, for people: the sentence first, then what it rests on."""
    yield told.url
    yield f"  {told.conclusion}"
    if told.merged:
        yield from _row("merged", "; ".join(told.merged))
    yield from _row("scope", f"{told.scope.verdict}: {told.scope.why}")
    yield from _row("robots", f"{told.robots.verdict}: {told.robots.why}")
    if told.via is not None:
        came = f", from {told.parent}" if told.parent else ""
        yield from _row("admitted", f"depth {told.depth}, as a {told.via}{came}")
    else:
        yield from _row("admitted", "yes" if told.seen else "no")
    linked = told.linked
    if linked.count:
        more = linked.count - len(linked.first)
        yield from _row(
            "linked",
            "from 1 page" if linked.count == 1 else f"from {linked.count} pages",
            *linked.first,
            *([f"and {more} more"] if more else []),
        )
    if told.redirects:
        yield from _row(
            "redirects", *(f"{hop.status or hop.outcome or 'no record'}  {hop.url}" for hop in told.redirects)
        )
    others = [url for url in linked.redirects if url not in {hop.url for hop in told.redirects}]
    if others:
        yield from _row("", *(f"also from {url}" for url in others[: inquiry.MOST_NAMED]))
    if told.waits or told.waiting_for:
        now = [f"now: {told.waiting_for}"] if told.waiting_for else []
        yield from _row("waited", *(f"{wait.ms / 1000:.1f} s {wait.what}" for wait in told.waits), *now)
    if told.attempts:
        yield from _row("attempts", *map(_attempt, told.attempts))
    if told.record is not None:
        yield from _row("record", *_record(told.record))


def _row(name: str, *texts: str) -> Iterator[str]:
    for text in texts:
        yield f"  {name:<10}{text}"
        name = ""


def _attempt(made: Attempt) -> str:
    began = datetime.fromtimestamp(made.start_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return (
        f"{began}.{made.start_ms % 1000:03d}Z  {made.end_ms - made.start_ms} ms  {made.result}  "
        f"(delay {made.delay_ms / 1000:g} s, {made.worker}{_of_generation(made.generation)})"
    )


def _of_generation(generation: int) -> str:
    return f", generation {generation}" if generation else ""


def _record(record: PageRecord) -> Iterator[str]:
    told = [record.outcome, record.reason, str(record.status or ""), record.content_type, record.title]
    if record.generation:
        told.append(f"generation {record.generation}")
    yield "  ".join(one for one in told if one)
    if record.detail:
        yield record.detail
    if record.canonical_link and record.canonical_link != record.url:
        yield f"names {record.canonical_link} as its canonical link"
