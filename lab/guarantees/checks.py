"""The checks themselves: each crawls the site once with something in its way, and hands the numbers to its judge."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crawl.errors import UnavailableError
from lab import measure
from lab.guarantees import finding
from lab.guarantees.finding import Endless, Finding, Memory
from lab.guarantees.site import ENDLESS, LARGE_PAGES, PAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.guarantees.site import Log
    from lab.guarantees.stage import Stage

#: Total time of one request in the check of deadlines, seconds; other timeouts stay far above it.
TOTAL_S = 1.5
#: Lease of the crawl whose worker is killed: nobody may wait for it long. Seconds.
KILL_LEASE_S = 2.0
#: Lease of the crawl whose worker drains: long enough that waiting for one would be seen. Seconds.
DRAIN_LEASE_S = 6.0
#: Requests after which the worker is disturbed.
MIDDLE = PAGES // 3
#: Seconds a worker gets after its work to give memory back or to be replaced.
SETTLE_S = 1.0
#: Seconds within which what a killed worker had sent has reached the site.
_LATE_S = 0.05


@dataclass
class Middle:
    """Does something once, in the middle of a crawl, while a request is under way."""

    act: Callable[[], None]
    at: int | None = None

    def __call__(self, log: Log) -> None:
        """Act when it is time; `at` is then the number of requests made."""
        if self.at is None and len(log.asked) >= MIDDLE and log.open():
            self.at = len(log.asked)
            self.act()


def undisturbed(stage: Stage) -> str:
    """Crawl the site with nothing in the way; return the records' digest.

    Raises UnavailableError where that does not work: then nothing else could be told.
    """
    crawled = stage.crawl("undisturbed", [stage.site.seed], {})
    if crawled.code != 0 or crawled.records != PAGES or crawled.missing or crawled.duplicate:
        message = (
            f"{stage.pool}: the undisturbed crawl ended with {crawled.code} and {crawled.records} of {PAGES} "
            f"records; it said: {crawled.said or 'nothing'}"
        )
        raise UnavailableError(message)
    return crawled.digest


def deadline(stage: Stage, _digest: str) -> Finding:
    """Ask servers that never finish; only the total time of a request can end it."""
    variables = {"CRAWL_TOTAL_TIMEOUT_S": str(TOTAL_S), "CRAWL_MAX_ATTEMPTS": "1"}
    seeds = [stage.site.seed, *stage.site.endless()]
    patience_s = (TOTAL_S + finding.MARGIN_S) * len(seeds) + 10
    crawled = stage.crawl("deadline", seeds, variables, depth=0, patience_s=patience_s)
    records = {record.url: record for record in stage.records("deadline")}
    asked = []
    for name, url in zip(ENDLESS, stage.site.endless(), strict=True):
        record = records.get(url)
        took_s = _longest(stage.site.log, f"{name}.test")
        if record is not None and record.fetch_ms is not None and took_s is not None:
            # The worker's own word counts where it is worse than what the site saw.
            took_s = max(took_s, record.fetch_ms / 1000)
        outcome, reason = (record.outcome, record.reason) if record else (None, None)
        asked.append(Endless(name, outcome, reason, took_s))
    return finding.of_deadline(stage.pool, TOTAL_S, asked, crawled)


def _longest(log: Log, host: str) -> float | None:
    """Return the seconds of the longest request to a host; None where there was none, or one has not ended."""
    spans = [(one.began, one.ended) for one in log.asked if one.host == host]
    ends = [ended - began for began, ended in spans if ended is not None]
    return max(ends) if ends and len(ends) == len(spans) else None


def kill(stage: Stage, digest: str) -> Finding:
    """SIGKILL the worker in the middle of a crawl; the stack starts it again."""
    killed: list[tuple[float, int]] = []

    def act() -> None:
        at = time.monotonic()
        stage.kill()
        time.sleep(_LATE_S)
        killed.append((at, len(stage.site.log.asked)))

    middle = Middle(act)
    crawled = stage.crawl("kill", [stage.site.seed], {"CRAWL_LEASE_S": str(KILL_LEASE_S)}, meanwhile=middle)
    resumed_s = None
    if killed:
        at, count = killed[0]
        later = stage.site.log.asked[count:]
        resumed_s = later[0].began - at if later else None
    return finding.of_kill(stage.pool, PAGES, middle.at, resumed_s, crawled, digest)


def drain(stage: Stage, digest: str) -> Finding:
    """SIGTERM the worker in the middle of a crawl; the stack starts it again."""
    ended: tuple[int | None, float] = (None, 0.0)

    def act() -> None:
        nonlocal ended
        ended = stage.drain(finding.DRAIN_S)

    middle = Middle(act)
    crawled = stage.crawl("drain", [stage.site.seed], {"CRAWL_LEASE_S": str(DRAIN_LEASE_S)}, meanwhile=middle)
    return finding.of_drain(stage.pool, PAGES, middle.at, *ended, crawled, digest)


def recycling(stage: Stage, _digest: str) -> Finding:
    """Let the worker grow over large pages, and look at it when they are done."""
    stage.rest(0)
    before = set(stage.tree())
    pid = stage.worker.pid
    rest_mb = measure.memory(pid) / 1e6
    with measure.Sampler({measure.WORKER: pid}) as sampler:
        crawled = stage.crawl("recycling", stage.site.large(), {}, depth=0)
    stage.rest(SETTLE_S)
    after_mb = measure.memory(stage.worker.pid) / 1e6
    memory = Memory(
        rest_mb=rest_mb,
        peak_mb=sampler.worker_peak_bytes / 1e6,
        after_mb=after_mb,
        replaced=bool(before - set(stage.tree())),
    )
    return finding.of_recycling(stage.pool, LARGE_PAGES, memory, crawled)


#: Every guarantee's check, in the order they run: the last one wants a worker that has done little else.
CHECKS: dict[str, Callable[[Stage, str], Finding]] = {
    finding.DEADLINE: deadline,
    finding.KILL: kill,
    finding.DRAIN: drain,
    finding.RECYCLING: recycling,
}
