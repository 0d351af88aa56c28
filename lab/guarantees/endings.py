"""Workers and crawls that are ended from outside: killed, asked to end, grown too large, cancelled."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crawl import names
from lab import measure
from lab.guarantees import finding, verdicts
from lab.guarantees.finding import Finding, Memory
from lab.guarantees.site import LARGE_PAGES, PAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.guarantees.site import Log
    from lab.guarantees.stage import Stage

#: Lease of the crawl whose worker is killed: nobody may wait for it long. Seconds.
KILL_LEASE_S = 2.0
#: Lease of the crawl whose worker drains: long enough that waiting for one would be seen. Seconds.
DRAIN_LEASE_S = 6.0
#: Requests after which the worker is disturbed.
MIDDLE = PAGES // 3
#: Seconds a worker gets after its work to give memory back or to be replaced.
SETTLE_S = 1.0
#: The setting that limits a worker's memory, and the MB it gets in the check.
LIMIT = "CRAWL_MAX_WORKER_MB"
LIMIT_MB = 150
#: Seconds that a crawl gets that is to be cancelled, and for which its requests hang before that.
CANCEL_PATIENCE_S = 45.0
#: The same for the crawl whose worker drains while its requests hang.
STALLED_PATIENCE_S = 45.0
_BUSY_S = 0.5
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


def kill(stage: Stage, digest: str) -> list[Finding]:
    """SIGKILL the workers in the middle of a crawl; the stack starts them again."""
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
    return [finding.of_kill(stage.pool, PAGES, middle.at, resumed_s, crawled, digest)]


def drain(stage: Stage, digest: str) -> list[Finding]:
    """SIGTERM the workers in the middle of a crawl; the stack starts them again."""
    ended: tuple[int | None, float] = (None, 0.0)

    def act() -> None:
        nonlocal ended
        ended = stage.drain(finding.DRAIN_S)

    middle = Middle(act)
    crawled = stage.crawl("drain", [stage.site.seed], {"CRAWL_LEASE_S": str(DRAIN_LEASE_S)}, meanwhile=middle)
    return [finding.of_drain(stage.pool, PAGES, middle.at, *ended, crawled, digest)]


def stalled(stage: Stage, _digest: str) -> list[Finding]:
    """SIGTERM the workers while all their requests hang, for longer than they have to end."""
    ended: tuple[int | None, float] = (None, 0.0)
    open_: int | None = None
    hung_since: float | None = None

    def act(log: Log) -> None:
        nonlocal ended, open_, hung_since
        if open_ is None and log.open():
            hung_since = hung_since or time.monotonic()
            if time.monotonic() - hung_since > _BUSY_S:
                open_ = log.open()
                ended = stage.drain(finding.STALLED_S)
                stage.site.holding = False

    # A request that was charged would have been the only one its page gets.
    variables = {"CRAWL_MAX_ATTEMPTS": "1", "CRAWL_LEASE_S": str(DRAIN_LEASE_S)}
    urls = stage.site.late()
    stage.site.holding = True
    crawled = stage.crawl("stalled", urls, variables, depth=0, meanwhile=act, patience_s=STALLED_PATIENCE_S)
    good = sum(record.outcome == "ok" for record in stage.records("stalled"))
    return [finding.of_stalled(stage.pool, len(urls), open_, *ended, good, crawled)]


def recycling(stage: Stage, _digest: str) -> list[Finding]:
    """Let the workers grow over large pages, beyond the limit they are given, and look at them when they are done."""
    stage.restart(**{LIMIT: str(LIMIT_MB)})
    try:
        return [_recycling(stage)]
    finally:
        stage.restart(**{LIMIT: ""})


def _recycling(stage: Stage) -> Finding:
    stage.rest(0)
    before = set(stage.tree())
    roots = [worker.pid for worker in stage.workers]
    rest_mb = _memory_mb(stage)
    with measure.Sampler({f"{measure.WORKER}-{pid}": pid for pid in roots}) as sampler:
        crawled = stage.crawl("recycling", stage.site.large(), {}, depth=0)
    stage.rest(SETTLE_S)
    memory = Memory(
        rest_mb=rest_mb,
        peak_mb=sampler.workers_peak_bytes / 1e6,
        after_mb=_memory_mb(stage),
        replaced=bool(before - set(stage.tree())),
    )
    return finding.of_recycling(stage.pool, LARGE_PAGES, memory, crawled)


def _memory_mb(stage: Stage) -> float:
    return sum(measure.memory(worker.pid) for worker in stage.workers) / 1e6


class Cancelling:
    """Cancels a crawl once its requests hang, and notes when none is under way any more."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self._name = name
        self._busy_at: float | None = None
        self._asking: threading.Thread | None = None
        #: What the verb came to, and the requests that hung when it was called; later the requests made until then.
        self.code: int | None = None
        self.said = ""
        self.open: int | None = None
        self.asked = 0
        #: When the crawl's state said so, on `time.monotonic`: the start of a command line is not what is measured.
        self.at: float | None = None
        self.idle_s: float | None = None

    def __call__(self, log: Log) -> None:
        """Look; act when it is time."""
        now = time.monotonic()
        if self.open is None:
            if log.open() and self._busy_at is None:
                self._busy_at = now
            if self._busy_at is not None and now - self._busy_at > _BUSY_S:
                self.open = log.open()
                self._asking = threading.Thread(target=self._ask, daemon=True)
                self._asking.start()
        elif self.at is None:
            self.at = now if self._stage.state(self._name) == names.CANCELLED else None
        if self.at is not None and self.idle_s is None and not log.open():
            self.idle_s = time.monotonic() - self.at
            self.asked = len(log.asked)

    def _ask(self) -> None:
        self.code, self.said = self._stage.command("cancel", self._name, within_s=CANCEL_PATIENCE_S)

    def join(self) -> None:
        """Wait for the verb."""
        if self._asking is not None:
            self._asking.join()


def cancel(stage: Stage, _digest: str) -> list[Finding]:
    """Cancel a crawl by the command line, from outside of its producer, while all its requests hang."""
    cancelling = Cancelling(stage, "cancel")
    seeds = [*stage.site.still(), stage.site.seed]
    crawled = stage.crawl("cancel", seeds, {}, meanwhile=cancelling, patience_s=CANCEL_PATIENCE_S)
    if cancelling.open is None:
        return [verdicts.of_cancel(stage.pool, None, crawled)]
    over_at = time.monotonic()
    cancelling.join()
    # The producer may have ended before the last look.
    cancelling(stage.site.log)
    ended_s = None if crawled.code is None or cancelling.at is None else max(0.0, over_at - cancelling.at)
    stage.rest(SETTLE_S)
    # Whatever hung because it was not cancelled may not hang into the next check.
    if stage.site.log.open():
        stage.kill()
        stage.rest(0)
    found = verdicts.Cancelled(
        open=cancelling.open,
        code=cancelling.code,
        said=cancelling.said,
        idle_s=cancelling.idle_s,
        ended_s=ended_s,
        later=0 if cancelling.idle_s is None else len(stage.site.log.asked) - cancelling.asked,
        state=stage.state("cancel"),
    )
    return [verdicts.of_cancel(stage.pool, found, crawled)]
