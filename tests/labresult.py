"""Results of the lab as `poolcrawl bench --json` would write them, made up but of the right shape and size."""

from __future__ import annotations

import random
from typing import Any

from lab.way import Way
from lab.workload import PRESETS

#: Pages a second of one slot's worth, and the ceiling of a whole way: enough to give each workload a plausible order.
_CEILINGS = {
    "lan": {"prefork": 900, "threads": 1150, "gevent": 1400, "solo": 1380},
    "web": {"prefork": 700, "threads": 520, "gevent": 640, "solo": 900},
    "slow": {"prefork": 700, "threads": 520, "gevent": 640, "solo": 900},
    "heavy": {"prefork": 78, "threads": 41, "gevent": 43, "solo": 44},
    "mixed": {"prefork": 160, "threads": 84, "gevent": 90, "solo": 95},
}
_FETCH_MS = {"lan": 1.5, "web": 330.0, "slow": 1920.0, "heavy": 3.0, "mixed": 190.0}
_PARSE_MS = {"lan": 0.4, "web": 0.5, "slow": 0.5, "heavy": 21.0, "mixed": 8.6}
_CPU = {"prefork": 1.2, "threads": 1.35, "gevent": 1.1, "solo": 0.95}
_MB = {"prefork": (52, 46), "threads": (64, 0.55), "gevent": (58, 0.16), "solo": (55, 0)}

DEFAULT_WAYS = (
    Way("prefork", 2),
    Way("threads", 32),
    Way("gevent", 100),
    Way("gevent", 100, parse_pool="prefork", parse_concurrency=2),
)
GRID_WAYS = (
    *(Way("prefork", slots) for slots in (1, 2, 4, 8)),
    *(Way("threads", slots) for slots in (4, 16, 64, 200)),
    *(Way("gevent", slots) for slots in (4, 16, 100, 400)),
    *(Way("gevent", slots, parse_pool="prefork", parse_concurrency=2) for slots in (16, 100, 400)),
    Way("threads", 32, processes=2),
)


def result(
    *,
    ways: tuple[Way, ...] = DEFAULT_WAYS,
    workloads: tuple[str, ...] = tuple(PRESETS),
    timelines: tuple[str, ...] = ("heavy", "web"),
) -> dict[str, Any]:
    """Return a whole result: every way on every workload, timelines, guarantees, advice."""
    return {
        "schema": 1,
        "poolcrawl": "0.1.0",
        "kind": "lab",
        "conditions": {
            "cores": 2,
            "system": "Linux 6.1 x86_64",
            "python": "3.11.7",
            "memory": "PSS",
            "command": "poolcrawl bench --workloads lan,web,slow,heavy,mixed --report report",
            "settings": {"CRAWL_BATCH": "20"},
            "versions": {"celery": "5.7.0", "gevent": "26.9.0", "valkey": "9.1.2"},
            "started_at": "2026-11-25T01:00:00Z",
            "rounds": 3,
            "machine": {"cpu": "Some CPU @ 2.8 GHz", "memory_mb": 8192},
            "niced": {"workers": 5},
        },
        "workloads": [
            {**PRESETS[name].row(), "expected_digest": f"{name}-digest", "site_alone_pages_s": 9000.0}
            for name in workloads
        ],
        "trials": [trial(name, way) for name in workloads for way in ways],
        "timelines": [
            timeline(name, pool) for name in timelines for pool in ("prefork", "threads", "gevent")
        ],
        "guarantees": guarantees(),
        "advice": advice(workloads),
    }


def trial(workload: str, way: Way, *, invalid: str | None = None) -> dict[str, Any]:
    """Return one trial of three runs; with `invalid`, none of them counts."""
    rng = random.Random(f"{workload}/{way.name}")
    rates = sorted(_pages_s(workload, way) * rng.uniform(0.93, 1.07) for _ in range(3))
    split = way.parse_pool is not None
    base_mb, slot_mb = _MB[way.pool]
    workers_mb = (base_mb + slot_mb * way.concurrency) * way.processes + (150 if split else 0)
    cpu = _CPU[way.pool] + _PARSE_MS[workload] + (0.25 if split else 0)
    measures = {
        "worker_cpu": round(cpu * rng.uniform(0.97, 1.03), 3),
        "producer_cpu": 0.09,
        "redis_cpu": 0.12,
        "workers_mb": round(workers_mb, 1),
        "worker_mb": round(workers_mb / way.processes, 1),
        "producer_mb": 52.0,
        "redis_mb": 9.5,
        "commands": round(0.6 + (0.25 if split else 0.0), 2),
        "script_calls": 11.5,
        "redis_bytes": 5200.0,
        "switches": round(rng.uniform(2, 30), 1),
        "switches_forced": round(rng.uniform(0.2, 4), 1),
    }
    digest = f"{workload}-digest"
    each = [
        {
            **measures, "pages": 240, "seconds": round(240 / rate, 3), "wall_s": round(240 / rate + 2, 3),
            "pages_s": round(rate, 1), "digest": digest, "valid": invalid is None, "invalid": invalid,
        }
        for rate in rates
    ]  # fmt: skip
    return {
        "name": f"{workload}/{way.name}",
        "workload": workload,
        **way.row(),
        "runs": 3,
        "valid": invalid is None,
        "invalid": invalid,
        "pages_s": None if invalid else round(rates[1], 1),
        "slowest": None if invalid else round(rates[0], 1),
        "fastest": None if invalid else round(rates[2], 1),
        **measures,
        "latency": _latency(workload, way, rates[1]),
        "failures": {"http": 5} if workload == "mixed" else {},
        "site_late_ms": 0.8,
        "digest": digest,
        "each": each,
    }


def _pages_s(workload: str, way: Way) -> float:
    ceiling: float = _CEILINGS[workload][way.pool]
    if way.pool == "prefork":
        ceiling *= min(2, way.concurrency) / 2
    if way.parse_pool:
        ceiling = _CEILINGS[workload]["prefork"] * 0.94
    if way.processes > 1 and way.pool != "prefork":
        ceiling *= 1.7
    waiting = way.slots * 1000 / (_FETCH_MS[workload] + _PARSE_MS[workload])
    return 1 / (1 / ceiling + 1 / waiting)


def _latency(workload: str, way: Way, pages_s: float) -> dict[str, dict[str, float]]:
    crowd = max(1.0, way.slots / 20) if way.pool != "prefork" else 1.0
    wait = 4 + 300 * crowd / max(pages_s, 1)
    parse = _PARSE_MS[workload] * (1.0 if way.parse_pool or way.pool != "threads" else 1 + way.slots / 40)
    fetch = _FETCH_MS[workload] * (1 + 0.02 * crowd)

    def spread(median: float, tail: float) -> dict[str, float]:
        return {"p50": round(median, 2), "p95": round(median * tail, 2), "p99": round(median * tail * 1.4, 2)}

    return {
        "queue_ms": spread(3 * crowd, 4),
        "fetch_ms": spread(fetch, 2.3),
        "parse_wait_ms": spread(wait, 3),
        "parse_ms": spread(parse, 1.8),
    }


def guarantees() -> list[dict[str, Any]]:
    """Return the guarantees of three pools, one of them broken."""
    rows = []
    for pool in ("prefork", "threads", "gevent"):
        rows += [
            _promise(pool, "deadline", True, "the slowest of 40 requests ended 62 ms after its deadline"),
            _promise(pool, "kill", True, "12 kills, 240 of 240 records, none twice"),
            _promise(pool, "drain", True, "stopped 1.9 s after SIGTERM with nothing lost"),
            _promise(
                pool, "recycling", pool == "prefork", "peak 61 MB after a page of 40 MB, 180 MB without"
            ),
        ]
    return rows


def _promise(pool: str, guarantee: str, kept: bool, measured: str) -> dict[str, Any]:
    return {"pool": pool, "guarantee": guarantee, "kept": kept, "measured": measured}


def advice(workloads: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return a recommendation for each workload and goal."""
    best = {"lan": "gevent-100", "web": "gevent-100+prefork-2", "heavy": "prefork-2"}
    rows = []
    for name in workloads:
        for goal, unit, value in (
            ("throughput", "pages/s", 45.8),
            ("memory", "MB", 74.0),
            ("latency", "ms", 1204.0),
        ):
            way = best.get(name, "gevent-100")
            rows.append({
                "workload": name, "goal": goal, "way": way, "pool": way.partition("-")[0], "value": value, "unit": unit,
                "settings": {"CRAWL_POOL": "gevent", "CRAWL_CONCURRENCY": "100"}, "sure": "sure",
                "sentence": f"{way} (1 worker process of 100 slots): {value} {unit}; 2.76 times threads-32, the best "
                "of another pool (sure: ranges of 3 runs each apart); it is the project's default",
                "losers": [{
                    "pool": "threads", "way": "threads-32", "cause": "slots",
                    "sentence": "threads-32 (16.6 pages/s): its 32 slots were full of waiting; it would need 100 slots",
                }],
                "invalid": [],
            })  # fmt: skip
    return rows


def timeline(workload: str, pool: str) -> dict[str, Any]:
    """Return what slots did: side by side in processes, in turns in threads, one after the other in greenlets."""
    rng = random.Random(f"{workload}:{pool}:timeline")
    fetch_ms, parse_ms = _FETCH_MS[workload], _PARSE_MS[workload]
    slots = {"prefork": 2, "threads": 4, "gevent": 30}[pool]
    if parse_ms < 5 and pool == "threads":
        slots = 16
    kind = {"prefork": "process", "threads": "thread", "gevent": "greenlet"}[pool]
    pages = 120
    clock = _Interpreter(turn_ms=5.0 if pool == "threads" else 1e9)
    lanes: list[list[dict[str, Any]]] = [[] for _ in range(slots)]
    free = [rng.uniform(0, 4) for _ in range(slots)]
    for number in range(pages):
        lane = min(range(slots), key=free.__getitem__)
        start = free[lane] + 0.3
        end = start + fetch_ms * rng.lognormvariate(0, 0.4)
        url = f"http://host{number % 4}.test/page/{number}"
        cost = parse_ms * rng.uniform(0.9, 1.1)
        runs = [[end, end + cost]] if pool == "prefork" else clock.run(lane, end, cost)
        if pool == "gevent":
            end = runs[0][0]
        lanes[lane] += [
            {"kind": "fetch", "url": url, "start_ms": start, "end_ms": end},
            {"kind": "parse", "url": url, "start_ms": end, "end_ms": runs[-1][1], "runs": runs},
        ]
        free[lane] = runs[-1][1] + rng.uniform(0.2, 1.0)
    return {
        "name": f"{workload}/{pool}-{slots}",
        "workload": workload,
        "way": f"{pool}-{slots}",
        "pool": pool,
        "seconds": max(spans[-1]["end_ms"] for spans in lanes if spans) / 1000,
        "lanes": [
            {"worker": f"{pool}-{slots}-123@vm", "slot": f"{kind}-{place + 1}", "kind": kind, "spans": spans}
            for place, spans in enumerate(lanes)
        ],
    }


class _Interpreter:
    """One interpreter that parses share: in turns of `turn_ms`, never two at once."""

    def __init__(self, turn_ms: float) -> None:
        self.turn_ms = turn_ms
        self.taken: list[tuple[float, float]] = []

    def run(self, lane: int, ready: float, cost: float) -> list[list[float]]:
        """Return the stretches in which a parse of `cost` ms, ready at `ready`, had the interpreter."""
        runs = []
        now = ready
        while cost > 1e-9:
            length = min(cost, self.turn_ms)
            now = self._free(now, length)
            runs.append([now, now + length])
            self.taken.append((now, now + length))
            now += length + (length if cost > length else 0)  # the next turn is another's
            cost -= length
        return runs

    def _free(self, start: float, length: float) -> float:
        moved = True
        while moved:
            moved = False
            for begin, end in self.taken:
                if start < end and begin < start + length:
                    start, moved = end, True
        return start
