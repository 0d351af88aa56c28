"""What the checks found, and how they judge it: plain numbers in, kept or not and one sentence out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.guarantees.stage import Crawled

KILL, DRAIN, STALLED, RECYCLING = "kill", "drain", "drain-stalled", "recycling"

#: Seconds a worker gets to end after SIGTERM; its requests take a tenth of one.
DRAIN_S = 10.0
#: The same where its requests hang: what the embedded stack gives it, less than any stop_grace_period.
STALLED_S = 20.0
#: Memory came back if no more than this share of what it grew by is left.
LEFT_SHARE = 0.5
#: A worker that grew by less than this has not shown anything, MB.
LEAST_GROWTH_MB = 20.0


@dataclass(frozen=True)
class Finding:
    """Whether one pool kept one guarantee; `measured` is one sentence with the numbers, `figure` the one that counts.

    `pool` may be a column of two pools, that of the split.
    """

    pool: str
    guarantee: str
    kept: bool
    measured: str
    figure: str = ""

    def row(self) -> dict[str, Any]:
        """Return the finding for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, row: dict[str, Any]) -> Finding:
        """Return the finding of a JSON object; a later version may have written more fields."""
        return cls(row["pool"], row["guarantee"], row["kept"], row["measured"], row.get("figure", ""))


@dataclass(frozen=True)
class Memory:
    """MB of a worker's process tree: before the work, at its most, and a while after it; was any of it replaced?"""

    rest_mb: float
    peak_mb: float
    after_mb: float
    replaced: bool


def of_kill(
    pool: str, pages: int, at: int | None, resumed_s: float | None, crawled: Crawled, digest: str
) -> Finding:
    """Judge a crawl of `pages` pages whose worker was killed after `at` requests; `digest` is the undisturbed one."""
    if at is None:
        return unshown(pool, KILL, "killed", crawled)
    facts = f"killed after {at} of {pages} requests: {_tally(pages, crawled)}"
    facts += "" if resumed_s is None else f"; next request {resumed_s:.1f} s after the kill"
    figure = "" if resumed_s is None else f"{resumed_s:.1f} s"
    return judged(pool, KILL, _losses(pages, crawled, digest), facts, figure)


def of_drain(
    pool: str, pages: int, at: int | None, code: int | None, took_s: float, crawled: Crawled, digest: str
) -> Finding:
    """Judge a crawl whose worker got SIGTERM after `at` requests and ended with `code` after `took_s` seconds."""
    if at is None:
        return unshown(pool, DRAIN, "asked to end", crawled)
    faults = _losses(pages, crawled, digest)
    if code is None or took_s > DRAIN_S:
        faults.insert(0, f"it had not ended after {took_s:.0f} s")
    elif code:
        faults.insert(0, f"exit code {code}")
    if crawled.repeated:
        faults.append("pages were requested twice")
    if crawled.reclaimed:
        faults.append(f"{crawled.reclaimed} URLs were not handed back")
    ended = "killed" if code is None else f"exit code {code}"
    facts = f"SIGTERM after {at} of {pages} requests: {ended} in {took_s:.1f} s, {_tally(pages, crawled)}"
    return judged(pool, DRAIN, faults, facts, f"{took_s:.1f} s")


def of_stalled(
    pool: str, pages: int, open_: int | None, code: int | None, took_s: float, good: int, crawled: Crawled
) -> Finding:
    """Judge a worker that got SIGTERM while `open_` of its requests hung; `good` pages came back good afterwards."""
    if open_ is None:
        return unshown(pool, STALLED, "asked to end while its requests hung", crawled)
    faults = [] if crawled.code == 0 else [unended(crawled)]
    if code is None or took_s > STALLED_S:
        faults.append(f"it had not ended after {took_s:.0f} s")
    elif code:
        faults.append(f"exit code {code}")
    if _lost(pages, crawled):
        faults.append("pages were lost")
    if good != pages:
        faults.append(f"{pages - good} pages were charged with a request that was not theirs to end")
    if crawled.reclaimed or crawled.losses:
        faults.append(f"{max(crawled.reclaimed, crawled.losses)} URLs were not handed back")
    if crawled.repeated > open_:
        faults.append(f"{crawled.repeated - open_} pages were requested again that had not hung")
    ended = "killed" if code is None else f"exit code {code}"
    facts = f"SIGTERM with {open_} requests hanging: {ended} in {took_s:.1f} s, {_tally(pages, crawled)}"
    return judged(pool, STALLED, faults, facts, f"{took_s:.1f} s")


def of_recycling(pool: str, pages: int, memory: Memory, crawled: Crawled) -> Finding:
    """Judge a worker that grew over large pages: was it replaced, or did its memory come back, without losing work?"""
    grown = memory.peak_mb - memory.rest_mb
    faults = [] if crawled.code == 0 else [unended(crawled)]
    if lost := _lost(pages, crawled):
        faults.append(f"{lost} pages were lost")
    if crawled.repeated:
        faults.append("pages were requested twice")
    back = memory.after_mb - memory.rest_mb <= LEFT_SHARE * grown
    if grown < LEAST_GROWTH_MB:
        faults.append(f"{grown:.0f} MB of growth prove nothing")
    elif not memory.replaced and not back:
        faults.append("neither given back nor replaced")
    fate = "replaced" if memory.replaced else "not replaced"
    facts = (
        f"grew from {memory.rest_mb:.0f} to {memory.peak_mb:.0f} MB over {pages} large pages, "
        f"holds {memory.after_mb:.0f} MB after them, {fate}; {_tally(pages, crawled)}"
    )
    return judged(pool, RECYCLING, faults, facts, f"{memory.after_mb:.0f} MB")


def judged(pool: str, guarantee: str, faults: Sequence[str], facts: str, figure: str = "") -> Finding:
    """Return the finding that is kept where there are no faults."""
    measured = f"{', '.join(faults)}: {facts}" if faults else facts
    return Finding(pool, guarantee, not faults, measured, figure)


def unshown(pool: str, guarantee: str, what: str, crawled: Crawled) -> Finding:
    """Return the finding where the middle of the crawl never came: no proof is no guarantee."""
    why = unended(crawled) if crawled.code != 0 else "the crawl was over before"
    return Finding(pool, guarantee, False, f"the worker was never {what}: {why}")


def _lost(pages: int, crawled: Crawled) -> int:
    return max(crawled.missing, pages - crawled.records, 0)


def unended(crawled: Crawled) -> str:
    """Return what a crawl that did not end well is told by."""
    if crawled.code is None:
        return f"the crawl did not end within {crawled.seconds:.0f} s"
    return f"the crawl ended with {crawled.code} and said: {crawled.said or 'nothing'}"


def _losses(pages: int, crawled: Crawled, digest: str) -> list[str]:
    faults = [] if crawled.code == 0 else [unended(crawled)]
    if _lost(pages, crawled):
        faults.append("pages were lost")
    if crawled.duplicate or crawled.records > pages:
        faults.append("pages have two records")
    if crawled.digest != digest:
        faults.append("records differ from the undisturbed crawl's")
    return faults


def _tally(pages: int, crawled: Crawled) -> str:
    duplicate = crawled.duplicate + max(crawled.records - pages, 0)
    return f"lost {_lost(pages, crawled)}, duplicate {duplicate}, repeated requests {crawled.repeated}"
