"""How fast a way should be on a workload that nobody tried, by a model that fits on a page.

    pages/s = the least of   slots / seconds that a page holds one      (slots)
                             batches that the hosts allow / the same    (hosts)
                             interpreters x the share of a core they get / CPU seconds a page      (cpu)
                             cores / CPU seconds a page of everybody    (cores)

The first two are met while there is work for all slots; at the end most of them wait for the slowest page, which is
added to the seconds that the crawl takes by them (Graham's bound for a list of tasks).

CPU seconds are taken from a result's trials without latency (`lan`, and `heavy` for what a millisecond of parsing
really costs). The model knows no queues: near the point where two limits meet it promises too much. `errors` says how
much.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from lab.reason import BATCH, HOST_BATCHES, interpreters
from lab.results import usable
from lab.way import Way
from lab.workload import Workload, from_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lab.results import Row

#: Share of a worker's own CPU per page that is parsing; matters only where fetch and parse are split. A rough guess.
PARSE_SHARE = 0.5
#: Pages of a workload that are looked at for its mean and its slowest page.
LOOKED_AT = 2000
#: No page costs less; a result that says so was measured by a clock too coarse for it.
LEAST_MS = 0.01
#: Of a pool that was not measured: CPU ms a page, and the share of a core that an interpreter with enough to do gets.
USUAL_MS = 1.1
#: The same of those that were (docs/benchmark.md); asyncio's is gevent's, by their ratio in another run.
USUAL_WORKER_MS = {"prefork": 1.11, "threads": 1.16, "gevent": 1.05, "asyncio": 1.0, "solo": 0.87}
USUAL_SHARE = 0.85


@dataclass(frozen=True)
class Costs:
    """What a page costs beside the workload's own latency and parse_ms.

    `worker_ms`: CPU ms of a worker, by pool. `share`: of a core, by pool, that an interpreter gets which is never idle,
    USUAL_SHARE where more was not seen. `others_ms`: CPU ms of producer and Redis. `burn`: CPU ms that one ms of
    parse_ms takes. The defaults are those of docs/benchmark.md.
    """

    worker_ms: dict[str, float] = field(default_factory=lambda: dict(USUAL_WORKER_MS))
    share: dict[str, float] = field(default_factory=dict)
    others_ms: float = 0.23
    burn: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Forecast:
    """What the model says of a way; `limit` is which term was the least: slots, hosts, cpu or cores."""

    way: Way
    pages_s: float
    limit: str


def costs_of(result: Row) -> Costs:
    """Return the costs that a result shows; the defaults for what it does not."""
    free = {
        row["name"] for row in result["workloads"] if not row.get("latency_ms") and not row.get("samples")
    }
    cheap = {row["name"] for row in result["workloads"] if row["name"] in free and not row.get("parse_ms")}
    plain = [trial for trial in result["trials"] if _is_plain(trial)]
    lan = [trial for trial in plain if trial["workload"] in cheap]
    if not lan:
        return Costs()
    pools = dict.fromkeys(trial["pool"] for trial in lan)
    cores = result["conditions"].get("cores") or 1
    return Costs(
        worker_ms={
            pool: max(_median(t["worker_cpu"] for t in lan if t["pool"] == pool), LEAST_MS) for pool in pools
        },
        share={pool: max(_share(t, cores) for t in plain if t["pool"] == pool) for pool in pools},
        others_ms=_median((t.get("producer_cpu") or 0) + (t.get("redis_cpu") or 0) for t in lan),
        burn=_burn(result, [trial for trial in plain if trial["workload"] in free - cheap], lan),
    )


def predict(
    workload: Workload, cores: int, ways: Iterable[Way] | None = None, costs: Costs | None = None
) -> list[Forecast]:
    """Return the ways (those of `grid` unless given), the fastest first; among equals the one of fewer slots."""
    costs = costs or Costs()
    found = [_forecast(workload, cores, way, costs) for way in (grid(cores) if ways is None else ways)]
    return sorted(found, key=lambda forecast: (-forecast.pages_s, forecast.way.slots))


def shortlist(forecasts: Sequence[Forecast], count: int) -> tuple[Way, ...]:
    """Return which ways a grid should try for an unseen mix: the best of each pool, then the next best of all.

    `forecasts` are ranked, as `predict` returns them. Every pool is tried even where `count` is too few for all of
    them: the model is not trusted to strike one.
    """
    best: dict[tuple[str, str | None], Way] = {}
    for forecast in forecasts:
        best.setdefault((forecast.way.pool, forecast.way.parse_pool), forecast.way)
    rest = [forecast.way for forecast in forecasts if forecast.way not in best.values()]
    return (*best.values(), *rest[: max(count - len(best), 0)])


def grid(cores: int) -> tuple[Way, ...]:
    """Return ways from few slots to many in each pool, in one process and in as many as there are cores, and splits."""
    counts = dict.fromkeys((1, cores))
    found = [Way("prefork", slots) for slots in dict.fromkeys((cores, 2 * cores, 8 * cores))]
    found += [Way("threads", slots, count) for count in counts for slots in (32, 100)]
    found += [Way("gevent", slots, count) for count in counts for slots in (30, 100, 300)]
    found += [Way("asyncio", slots, count) for count in counts for slots in (100, 300)]
    found += [Way("solo", 1, cores)]
    splits = (("threads", 32), ("gevent", 100), ("asyncio", 100))
    return (
        *found,
        *(Way(pool, n, parse_pool="prefork", parse_concurrency=cores) for pool, n in splits),
    )


def errors(result: Row) -> list[Row]:
    """Return forecast against measurement of each usable trial: `name`, `measured`, `predicted`, `ratio`, `limit`.

    The trials that the costs were taken from are among them; on those it is no forecast.
    """
    costs, cores = costs_of(result), result["conditions"].get("cores") or 1
    known = {one.name for one in fields(Workload)}
    knobs = {row["name"]: {n: row[n] for n in row if n in known} for row in result["workloads"]}
    rows = []
    for trial in filter(usable, result["trials"]):
        way = Way(**{name: trial[name] for name in Way.__dataclass_fields__ if name in trial})
        found = _forecast(from_row(knobs[trial["workload"]]), cores, way, costs)
        ratio = found.pages_s / trial["pages_s"]
        row = {"name": trial["name"], "measured": trial["pages_s"], "predicted": round(found.pages_s, 1)}
        rows.append(row | {"ratio": round(ratio, 3), "limit": found.limit})
    return rows


def error_sentence(rows: Sequence[Row]) -> str:
    """Return how far the model was off, for people."""
    if not rows:
        return "The model was compared with no measurement."
    off = sorted((max(row["ratio"], 1 / row["ratio"]), row["name"]) for row in rows)
    return (
        f"The model was off by {off[len(off) // 2][0]:.2f} times in the median of {len(rows)} trials, "
        f"at worst by {off[-1][0]:.2f} times ({off[-1][1]})."
    )


def _forecast(workload: Workload, cores: int, way: Way, costs: Costs) -> Forecast:
    pages = [workload.page(number) for number in range(min(workload.pages, LOOKED_AT))]
    mean_ms = statistics.fmean(page.latency_ms for page in pages)
    slowest_s = max(page.latency_ms for page in pages) / 1000
    parse_ms = statistics.fmean(page.parse_ms for page in pages) * costs.burn.get(
        way.parse_pool or way.pool, 1.0
    )
    own_ms = costs.worker_ms.get(way.pool, USUAL_MS)
    held_ms = mean_ms + own_ms + (0.0 if way.parse_pool else parse_ms)
    limits = {
        "slots": way.slots * 1000 / held_ms,
        "hosts": workload.hosts * HOST_BATCHES * 1000 / held_ms,
        "cpu": _cpu_limit(way, cores, own_ms, parse_ms, costs),
        "cores": cores * 1000 / (own_ms + parse_ms + costs.others_ms),
    }
    waits_s = slowest_s * (1 - 1 / way.slots)
    for name in ("slots", "hosts"):
        limits[name] = workload.pages / (workload.pages / limits[name] + waits_s)
    limit = min(limits, key=lambda name: limits[name])
    return Forecast(way, limits[limit], limit)


def _cpu_limit(way: Way, cores: int, own_ms: float, parse_ms: float, costs: Costs) -> float:
    """Return the pages per second of the interpreters; of the slower group where fetch and parse are split."""
    share = costs.share.get(way.pool, USUAL_SHARE)
    if not way.parse_pool:
        return min(interpreters(way.row()), cores) * share * 1000 / (own_ms + parse_ms)
    fetch = Way(way.pool, way.concurrency, way.processes)
    parse = Way(way.parse_pool, way.parse_concurrency, way.parse_processes)
    parsing_ms = costs.worker_ms.get(parse.pool, USUAL_MS) * PARSE_SHARE + parse_ms
    return min(
        min(interpreters(fetch.row()), cores) * share * 1000 / (own_ms * (1 - PARSE_SHARE)),
        min(interpreters(parse.row()), cores) * costs.share.get(parse.pool, USUAL_SHARE) * 1000 / parsing_ms,
    )


def _is_plain(trial: Row) -> bool:
    """Return whether a trial shows what a page costs in the way that pages are crawled by default."""
    own = trial.get("batch", BATCH) == BATCH and trial.get("pipeline", "callback") == "callback"
    return (
        usable(trial)
        and bool(trial.get("worker_cpu"))
        and own
        and not (trial.get("parse_pool") or trial.get("events"))
    )


def _share(trial: Row, cores: int) -> float:
    """Return the part of a core that each interpreter of a trial had; less than usual is no sign of a limit."""
    used: float = trial["worker_cpu"] * trial["pages_s"] / 1000
    return min(max(used / min(interpreters(trial), cores), USUAL_SHARE), 1.0)


def _burn(result: Row, heavy: Sequence[Row], lan: Sequence[Row]) -> dict[str, float]:
    """Return the CPU ms of one ms of parse_ms, by pool: what parsing adds to a page of the same pool without it."""
    parse_ms = {row["name"]: row.get("parse_ms") for row in result["workloads"]}
    found: dict[str, float] = {}
    for pool in dict.fromkeys(trial["pool"] for trial in lan):
        plain = _median(trial["worker_cpu"] for trial in lan if trial["pool"] == pool)
        more = [(t["worker_cpu"] - plain) / parse_ms[t["workload"]] for t in heavy if t["pool"] == pool]
        if more:
            found[pool] = max(_median(more), 0.1)
    return found


def _median(values: Iterable[float]) -> float:
    return float(statistics.median(values))
