"""Requests to hostile servers: deadlines against what never ends or never begins, caps on bodies that are too long."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from crawl.records import record_from_json
from crawl.results import lines
from lab.guarantees import hostile, verdicts
from lab.guarantees.finding import DRAIN_S
from lab.guarantees.site import CONNECT, ENDLESS, NAMES
from lab.guarantees.verdicts import DNS_MARGIN_S, MARGIN_S, Body, Endless

if TYPE_CHECKING:
    from lab.guarantees.finding import Finding
    from lab.guarantees.site import Log
    from lab.guarantees.stage import Stage

#: Total time of one request in the check of deadlines, seconds; other timeouts stay far above it.
TOTAL_S = 1.5
#: The same where names are never resolved, which a worker of one slot asks for one after the other.
DNS_TOTAL_S = 0.6
#: Seconds between two looks at the system's connections, or at the records.
_LOOK_S = 0.05


class _Looking:
    """Something looked at again and again during a crawl."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._next = 0.0

    def __call__(self, _log: Log) -> None:
        if time.monotonic() >= self._next:
            self.look(time.monotonic())
            self._next = time.monotonic() + _LOOK_S

    def look(self, now: float) -> None:
        """Look once."""


class Connecting(_Looking):
    """How long the workers were seen trying to connect to the port that completes no connection."""

    first: float | None = None
    last: float | None = None

    def look(self, now: float) -> None:
        """Ask the system; what it says is seen from outside of the worker."""
        for process in self.stage.tree():
            with contextlib.suppress(psutil.Error, OSError):
                for one in process.net_connections("tcp"):
                    if one.status == psutil.CONN_SYN_SENT and one.raddr.port == self.stage.site.deaf_port:
                        self.first, self.last = self.first or now, now

    @property
    def took_s(self) -> float | None:
        """Seconds from the first sight of it to the last; None where it was never seen."""
        return None if self.first is None or self.last is None else self.last - self.first


class Arrivals(_Looking):
    """When each record of a crawl was first seen in Redis, by URL."""

    def __init__(self, stage: Stage, crawl: str) -> None:
        super().__init__(stage)
        self._crawl = crawl
        self.seen: dict[str, float] = {}

    def look(self, now: float) -> None:
        """Read the crawl's records; there are few."""
        for _, text in lines(self.stage.client, self._crawl):
            self.seen.setdefault(record_from_json(text).url, now)


def deadline(stage: Stage, _digest: str) -> list[Finding]:
    """Ask servers that never finish; only the total time of a request can end it."""
    variables = {"CRAWL_TOTAL_TIMEOUT_S": str(TOTAL_S), "CRAWL_MAX_ATTEMPTS": "1"}
    seeds = [stage.site.seed, *stage.site.endless()]
    connecting = Connecting(stage)
    patience_s = (TOTAL_S + MARGIN_S) * len(seeds) + 10
    crawled = stage.crawl("deadline", seeds, variables, depth=0, patience_s=patience_s, meanwhile=connecting)
    records = {record.url: record for record in stage.records("deadline")}
    found = []
    for name, url in zip(ENDLESS, stage.site.endless(), strict=True):
        record = records.get(url)
        took_s = connecting.took_s if name == CONNECT else _longest(stage.site.log, f"{name}.test")
        if record is not None and record.fetch_ms is not None and took_s is not None:
            # The worker's own word counts where it is worse than what was seen from outside.
            took_s = max(took_s, record.fetch_ms / 1000)
        outcome, reason = (record.outcome, record.reason) if record else (None, None)
        one = Endless(name, outcome, reason, took_s)
        found.append(verdicts.of_endless(stage.pool, TOTAL_S, one, crawled))
    return found


def _longest(log: Log, host: str) -> float | None:
    """Return the seconds of the longest request to a host; None where there was none, or one has not ended."""
    spans = [(one.began, one.ended) for one in log.asked if one.host == host]
    ends = [ended - began for began, ended in spans if ended is not None]
    return max(ends) if ends and len(ends) == len(spans) else None


def dns(stage: Stage, _digest: str) -> list[Finding]:
    """Ask for names that are never resolved, more than a resolver has threads, then for one that is; then drain.

    The threads that wait for the resolver cannot be ended by anybody. They must neither keep a request beyond its
    time, nor other names from being resolved, nor the worker from ending.
    """
    variables = {"CRAWL_TOTAL_TIMEOUT_S": str(DNS_TOTAL_S), "CRAWL_MAX_ATTEMPTS": "1"}
    seeds = [*stage.site.unresolved(), stage.site.resolved()]
    arrivals = Arrivals(stage, "dns")
    patience_s = (DNS_TOTAL_S + DNS_MARGIN_S) * len(seeds) + 10
    crawled = stage.crawl("dns", seeds, variables, depth=0, patience_s=patience_s, meanwhile=arrivals)
    arrivals.look(time.monotonic())
    began = {one.host: one.began for one in stage.site.log.asked if one.path == "(name)"}
    records = {record.url: record for record in stage.records("dns")}
    asked = []
    for name, url in zip(NAMES, stage.site.unresolved(), strict=True):
        record = records.get(url)
        took_s = arrivals.seen[url] - began[name] if url in arrivals.seen and name in began else None
        outcome, reason = (record.outcome, record.reason) if record else (None, None)
        asked.append(Endless(name, outcome, reason, took_s))
    other = records.get(stage.site.resolved())
    drained = stage.drain(DRAIN_S)
    stage.rest(0)
    outcome = other.outcome if other else None
    return [verdicts.of_dns(stage.pool, DNS_TOTAL_S, asked, outcome, drained, crawled)]


def caps(stage: Stage, _digest: str) -> list[Finding]:
    """Ask for bodies that are too long as they are sent, and for small ones that are too long once unpacked."""
    variables = {"CRAWL_MAX_BODY_BYTES": str(hostile.CAP_BYTES), "CRAWL_MAX_ATTEMPTS": "1"}
    urls = dict(zip((*hostile.RAW, *hostile.UNPACKED), stage.site.floods(), strict=True))
    raw = stage.crawl("raw", [urls[path] for path in hostile.RAW], variables, depth=0)
    raw_bodies = _bodies(stage, "raw", {path: urls[path] for path in hostile.RAW})
    before = _begin_peaks(stage)
    unpacked = stage.crawl("unpacked", [urls[path] for path in hostile.UNPACKED], variables, depth=0)
    grown_mb = max((_peak(pid) - level for pid, level in before.items()), default=None)
    bombs = _bodies(stage, "unpacked", {path: urls[path] for path in hostile.UNPACKED})
    return [
        verdicts.of_raw(stage.pool, hostile.CAP_BYTES, raw_bodies, raw),
        verdicts.of_unpacked(stage.pool, hostile.BOMB_BYTES, bombs, grown_mb, unpacked),
    ]


def _bodies(stage: Stage, crawl: str, urls: dict[str, str]) -> list[Body]:
    records = {record.url: record for record in stage.records(crawl)}
    taken = {one.path: one.taken for one in stage.site.log.asked if one.host == "flood.test"}
    found = []
    for path, url in urls.items():
        record = records.get(url)
        outcome, reason = (record.outcome, record.reason) if record else (None, None)
        found.append(Body(path, outcome, reason, hostile.EXPECTED[path], taken.get(path)))
    return found


def _begin_peaks(stage: Stage) -> dict[int, float]:
    """Let the system count each worker process's peak anew; return the levels, MB. Empty where it keeps no peak."""
    found = {}
    for process in stage.tree():
        # A bomb is gone before anybody could sample it, so the system's own high-water mark counts (proc(5)).
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")
            found[process.pid] = _peak(process.pid)
    return found


def _peak(pid: int) -> float:
    try:
        lines_ = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        # It ended meanwhile, which the records tell.
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines_ if line.startswith("VmHWM:")), 0.0)
