"""What the checks found, and how they judge it: plain numbers in, kept or not and one sentence out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.guarantees.stage import Crawled

DEADLINE, KILL, DRAIN, RECYCLING = "deadline", "kill", "drain", "recycling"

#: What a request may take beyond its total time: the system's and a busy machine's share, seconds.
MARGIN_S = 1.0
#: Seconds a worker gets to end after SIGTERM; its requests take a tenth of one.
DRAIN_S = 10.0
#: Memory came back if no more than this share of what it grew by is left.
LEFT_SHARE = 0.5
#: A worker that grew by less than this has not shown anything, MB.
LEAST_GROWTH_MB = 20.0


@dataclass(frozen=True)
class Finding:
    """Whether one pool kept one guarantee; `measured` is one sentence with the numbers."""

    pool: str
    guarantee: str
    kept: bool
    measured: str

    def row(self) -> dict[str, Any]:
        """Return the finding for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, row: dict[str, Any]) -> Finding:
        """Return the finding of a JSON object; a later version may have written more fields."""
        return cls(row["pool"], row["guarantee"], row["kept"], row["measured"])


@dataclass(frozen=True)
class Endless:
    """One request to a server that never finishes: what the record says, and how long the server saw it open.

    `took_s` is None where the client had not given up when the crawl was over, or never asked.
    """

    name: str
    outcome: str | None
    reason: str | None
    took_s: float | None


@dataclass(frozen=True)
class Memory:
    """MB of a worker's process tree: before the work, at its most, and a while after it; was any of it replaced?"""

    rest_mb: float
    peak_mb: float
    after_mb: float
    replaced: bool


def of_deadline(pool: str, total_s: float, asked: Sequence[Endless], crawled: Crawled) -> Finding:
    """Judge requests that only a deadline could end, of `total_s` seconds."""
    faults = [] if crawled.code == 0 else [_unended(crawled)]
    for one in asked:
        if one.took_s is None:
            faults.append(f"{one.name} was not ended")
        elif one.took_s > total_s + MARGIN_S:
            faults.append(f"{one.name} took {one.took_s:.2f} s")
        if one.outcome is None:
            faults.append(f"{one.name} has no record")
        elif (one.outcome, one.reason) != ("failed", "timeout"):
            faults.append(f"{one.name} is on record as {one.outcome}, reason {one.reason}")
    if not asked:
        faults.append("nothing was asked for")
    longest = max((one.took_s for one in asked if one.took_s is not None), default=0.0)
    facts = f"longest of {len(asked)} endless requests {longest:.2f} s, allowed {total_s:g} + {MARGIN_S:g} s"
    return _finding(pool, DEADLINE, faults, facts)


def of_kill(
    pool: str, pages: int, at: int | None, resumed_s: float | None, crawled: Crawled, digest: str
) -> Finding:
    """Judge a crawl of `pages` pages whose worker was killed after `at` requests; `digest` is the undisturbed one."""
    if at is None:
        return _unshown(pool, KILL, "killed", crawled)
    facts = f"killed after {at} of {pages} requests: {_tally(pages, crawled)}"
    facts += "" if resumed_s is None else f"; next request {resumed_s:.1f} s after the kill"
    return _finding(pool, KILL, _losses(pages, crawled, digest), facts)


def of_drain(
    pool: str, pages: int, at: int | None, code: int | None, took_s: float, crawled: Crawled, digest: str
) -> Finding:
    """Judge a crawl whose worker got SIGTERM after `at` requests and ended with `code` after `took_s` seconds."""
    if at is None:
        return _unshown(pool, DRAIN, "asked to end", crawled)
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
    return _finding(pool, DRAIN, faults, facts)


def of_recycling(pool: str, pages: int, memory: Memory, crawled: Crawled) -> Finding:
    """Judge a worker that grew over large pages: was it replaced, or did its memory come back, without losing work?"""
    grown = memory.peak_mb - memory.rest_mb
    faults = [] if crawled.code == 0 else [_unended(crawled)]
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
    return _finding(pool, RECYCLING, faults, facts)


def _finding(pool: str, guarantee: str, faults: Sequence[str], facts: str) -> Finding:
    return Finding(pool, guarantee, not faults, f"{', '.join(faults)}: {facts}" if faults else facts)


def _unshown(pool: str, guarantee: str, what: str, crawled: Crawled) -> Finding:
    """Return the finding where the middle of the crawl never came: no proof is no guarantee."""
    why = _unended(crawled) if crawled.code != 0 else "the crawl was over before"
    return Finding(pool, guarantee, False, f"the worker was never {what}: {why}")


def _lost(pages: int, crawled: Crawled) -> int:
    return max(crawled.missing, pages - crawled.records, 0)


def _unended(crawled: Crawled) -> str:
    if crawled.code is None:
        return f"the crawl did not end within {crawled.seconds:.0f} s"
    return f"the crawl ended with {crawled.code} and said: {crawled.said or 'nothing'}"


def _losses(pages: int, crawled: Crawled, digest: str) -> list[str]:
    faults = [] if crawled.code == 0 else [_unended(crawled)]
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
