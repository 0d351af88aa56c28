"""Why a way lost, decided from its own numbers, and what it would need.

A crawl is held back by the first of these that is full: the messages' way through producer and Redis, the interpreters
of the workers, the machine's cores (also by other programs), the slots or the batches that its hosts allow, the wait
for a parse. Where none is, the slots wait for messages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crawl.settings import Settings
from lab import spread
from lab.goal import stage_p95
from worker.pools import TABLE

if TYPE_CHECKING:
    from lab.results import Row

#: CPU seconds per second of one interpreter (or of the producer, or Redis) from which it is what is full. Not 1: a
#: machine that is shared with the site and with Redis never gives one process all of a core.
BUSY = 0.75
#: Share of all cores from which the machine is full; the site's own CPU is not in the numbers.
FULL = 0.8
#: Share of the slots from which they are full, of those that a run of so few pages can keep full.
TAKEN = 0.75
#: Pages per slot below which a run is mostly beginning and end.
FEW_PAGES = 4
#: Client commands per page from which messages are what a page costs; with the default batch it is below one.
MANY_COMMANDS = 4.0
#: ms of p95 from which waiting for a parse is a wait.
LONG_WAIT_MS = 100.0
#: Times the CPU of a whole page that a parse takes by the clock, from which its worker did not get the CPU.
STARVED = 2.0
#: ms of a parse below which clocks and pauses say more than it does.
SHORT_PARSE_MS = 5.0
#: Times as much CPU per page that are worth a word.
DEARER = 1.15
#: Batches in flight that one host allows, unless a crawl says otherwise.
HOST_BATCHES: int = Settings.model_fields["host_concurrency"].default
#: URLs in one message, unless a crawl says otherwise.
BATCH: int = Settings.model_fields["batch"].default
#: How far p95 is from p50 in a normal distribution, in standard deviations.
_P95_SIGMAS = 1.645


@dataclass(frozen=True)
class Reason:
    """Why, as a word for programs and a clause for people, and what it would need, empty when nothing helps."""

    cause: str
    why: str
    needs: str = ""

    @property
    def sentence(self) -> str:
        """Return both for people."""
        return f"{self.why}; it would need {self.needs}" if self.needs else self.why


def interpreters(way: Row) -> int:
    """Return how many Python interpreters crawl in this way: each runs Python code on one core at a time."""
    return _interpreters(way["pool"], way["concurrency"], way["processes"]) + _interpreters(
        way.get("parse_pool"), way.get("parse_concurrency") or 0, way.get("parse_processes") or 1
    )


def _interpreters(pool: str | None, concurrency: int, processes: int) -> int:
    if pool is None:
        return 0
    return processes * concurrency if has_processes(pool) else processes


def has_processes(pool: str) -> bool:
    """Return whether every slot of a pool is a process of its own."""
    row = TABLE.get(pool)
    return row is not None and row.slot == "process"


def slot_ms(trial: Row) -> float | None:
    """Return how long a page holds a slot in ms, in the mean: its fetch, and its parse where slots do both."""
    fetch = _mean_ms(trial, "fetch_ms")
    if fetch is None or trial.get("parse_pool"):
        return fetch
    return fetch + (_mean_ms(trial, "parse_ms") or 0.0)


def _mean_ms(trial: Row, stage: str) -> float | None:
    """Return the mean of a stage, which trials do not have, as that of a lognormal with its p50 and p95."""
    quantiles = (trial.get("latency") or {}).get(stage) or {}
    p50, p95 = spread.number(quantiles.get("p50")), spread.number(quantiles.get("p95"))
    if p50 is None or not p95 or p50 <= 0:
        return p50
    sigma = math.log(max(p95 / p50, 1.0)) / _P95_SIGMAS
    return min(p50 * math.exp(sigma**2 / 2), p95)


def explain(trial: Row, winner: Row, workload: Row, cores: int, host_batches: int = HOST_BATCHES) -> Reason:
    """Return why `trial` has fewer pages per second than `winner` on this workload and machine.

    `host_batches` is CRAWL_HOST_CONCURRENCY, the batches in flight that one host allows.
    """
    return (
        _messages(trial)
        or _interpreter(trial, winner, cores)
        or _machine(trial, winner, cores)
        or _starved(trial)
        or _slots(trial, winner, workload, host_batches)
        or _parse(trial)
        or _dearer(trial, winner)
        or _pages(trial, workload)
        or _idle(trial)
    )


def _cpu(trial: Row, name: str) -> float | None:
    """Return the cores that one of worker, producer and redis used, from CPU seconds per 1000 pages."""
    cpu = spread.number(trial.get(f"{name}_cpu"))
    return None if cpu is None else cpu * trial["pages_s"] / 1000


def _messages(trial: Row) -> Reason | None:
    remedy = f"a larger batch ({trial.get('batch', BATCH)} now, {BATCH} by default)"
    if trial.get("batch", BATCH) >= BATCH:
        fused = trial.get("pipeline") == "fused"
        remedy = "fewer messages than the lab knows to send" if fused else "the fused pipeline"
    for name, spelled in (("producer", "the producer"), ("redis", "Redis")):
        cpu = _cpu(trial, name)
        if cpu is not None and cpu >= BUSY:
            return Reason("messages", f"{spelled} used {cpu:.2f} of the one core it can", remedy)
    commands = spread.number(trial.get("commands"))
    if commands is not None and commands >= MANY_COMMANDS and trial.get("batch", BATCH) < BATCH:
        return Reason("messages", f"each page costs {commands:.1f} commands to Redis", remedy)
    return None


def _interpreter(trial: Row, winner: Row, cores: int) -> Reason | None:
    used, count = _cpu(trial, "worker"), interpreters(trial)
    if used is None or count >= cores or used / count < BUSY:
        return None
    needed = winner["pages_s"] * trial["worker_cpu"] / 1000
    worker = "1 process was" if count == 1 else f"{count} processes were"
    dearer = _dearer(trial, winner)
    why = f"{worker} CPU bound, with {used:.2f} cores"
    why += f", and {dearer.why}" if dearer else ""
    if needed > cores:
        return Reason("cpu", why, f"{needed:.1f} cores for as many pages/s, of which there are {cores}")
    more = max(math.ceil(needed), count + 1)
    return Reason("cpu", why, f"{more} processes, of {cores} cores")


def _machine(trial: Row, winner: Row, cores: int) -> Reason | None:
    parts = [_cpu(trial, name) for name in ("worker", "producer", "redis")]
    used = sum(part for part in parts if part is not None)
    if parts[0] is None or used < FULL * cores:
        return None
    dearer = _dearer(trial, winner)
    why = f"all {cores} cores were busy" if cores > 1 else "the only core was busy"
    if dearer is None:
        return Reason("cores", f"{why} ({used:.2f} cores of CPU)", "more cores")
    return Reason("cores", f"{why} and {dearer.why}", "more cores, or less CPU per page")


def _starved(trial: Row) -> Reason | None:
    """Its interpreters had work and no CPU, though they did not use it up: somebody else did."""
    wall, cpu = _mean_ms(trial, "parse_ms"), spread.number(trial.get("worker_cpu"))
    if wall is None or cpu is None or wall < max(STARVED * cpu, SHORT_PARSE_MS):
        return None
    why = f"a parse took {wall:.0f} ms, though a page costs {cpu:.0f} ms of CPU in all: other programs had the cores"
    return Reason("starved", why, "a quiet machine, and another run")


def _slots(trial: Row, winner: Row, workload: Row, host_batches: int) -> Reason | None:
    """By Little's law: requests under way = pages per second x seconds each."""
    held = slot_ms(trial)
    if held is None:
        return None
    hosts = workload.get("hosts", 1)
    allowed = host_batches * hosts
    limit = min(trial["slots"], allowed)
    # The mean is an estimate; more than all slots were never taken.
    held = min(held, 1000 * limit / trial["pages_s"])
    busy = trial["pages_s"] * held / 1000
    if busy < TAKEN * limit * _fillable(trial, workload["pages"], held, limit):
        return None
    needed = math.ceil(winner["pages_s"] * held / 1000)
    if allowed < trial["slots"]:
        why = f"{busy:.1f} of the {allowed} batches that {hosts} hosts allow were under way"
        return Reason("hosts", why, f"more hosts, or more than {host_batches} batches at once per host")
    why = f"{busy:.1f} of {trial['slots']} slots were taken, {held:.0f} ms a page"
    needed = max(needed, trial["slots"] + 1)
    return Reason("slots", why, f"about {needed} slots{_price_of(trial, needed, winner)}")


def _fillable(trial: Row, pages: int, held_ms: float, slots: int) -> float:
    """Return the share of the slots that a run can keep full: at its end they wait for the slowest page."""
    quantiles = (trial.get("latency") or {}).get("fetch_ms") or {}
    slowest_ms = spread.number(quantiles.get("p99")) or held_ms
    work_ms = pages * held_ms
    return work_ms / (work_ms + slots * slowest_ms) if work_ms else 1.0


def _price_of(trial: Row, slots: int, winner: Row) -> str:
    """Return what so many slots would weigh, where each is a process, else how many processes they would fill."""
    if has_processes(trial["pool"]):
        memory = spread.number(trial.get("workers_mb"))
        weight = "" if memory is None else f": about {memory / trial['slots'] * slots:,.0f} MB"
        return f", which are processes{weight}"
    busy = winner["pages_s"] * (spread.number(trial.get("worker_cpu")) or 0.0) / 1000
    count = math.ceil(busy)
    return f" in {count} processes, which would use {busy:.1f} cores" if count > interpreters(trial) else ""


def _parse(trial: Row) -> Reason | None:
    wait = stage_p95(trial, "parse_wait_ms")
    others = (stage_p95(trial, "fetch_ms") or 0.0) + (stage_p95(trial, "parse_ms") or 0.0)
    if wait is None or wait < LONG_WAIT_MS or wait < others:
        return None
    needs = "more parse processes" if trial.get("parse_pool") else "parse processes of its own (a split)"
    return Reason("parse", f"a fetched page waited {wait:,.0f} ms (p95) for its parse", needs)


def _dearer(trial: Row, winner: Row) -> Reason | None:
    own, other = (spread.number(row.get("worker_cpu")) for row in (trial, winner))
    if not own or not other or own < DEARER * other:
        return None
    return Reason("cost", f"a page costs its workers {own / other:.1f} times the CPU of {winner['way']}")


def _pages(trial: Row, workload: Row) -> Reason | None:
    pages = workload["pages"]
    if pages >= FEW_PAGES * trial["slots"]:
        return None
    return Reason(
        "pages", f"{pages} pages are few for {trial['slots']} slots: most of them soon had nothing to do"
    )


def _idle(trial: Row) -> Reason:
    """Nothing was full, so the slots waited for messages, as far as the numbers are there to say so."""
    used, held = _cpu(trial, "worker"), slot_ms(trial)
    if used is None or held is None:
        return Reason("unclear", "too little of it was measured to say why")
    taken = min(trial["pages_s"] * held / 1000, trial["slots"])
    full = f"{taken:.1f} of {trial['slots']} slots taken, {used:.2f} cores used"
    why = f"nothing was full ({full}): slots waited for work"
    return Reason("idle", why, "more slots, or fewer messages")
