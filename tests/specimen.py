"""Results of the lab, made by hand: what a test says of a trial is what the trial has, the rest is plausible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.workload import PRESETS, Workload

if TYPE_CHECKING:
    from lab.way import Way


def trial(
    workload: str,
    way: Way,
    rates: tuple[float, ...] | float,
    *,
    invalid: str | None = None,
    **measures: Any,
) -> dict[str, Any]:
    """Return a trial whose runs made `rates` pages per second; no rate at all is a trial without a valid run."""
    rates = rates if isinstance(rates, tuple) else (rates,)
    common = {"worker_cpu": 1.0, "producer_cpu": 0.1, "redis_cpu": 0.15, "workers_mb": 100.0} | {
        name: value for name, value in measures.items() if name not in {"latency", "failures"}
    }
    weight = common["workers_mb"]
    run = {"worker_cpu_s": 0.4, "workers_bytes": None if weight is None else int(1e6 * weight)}
    run |= {"valid": True, "invalid": None, "pages": 400, "latency": measures.get("latency", latency())}
    each = [{**run, "pages_s": rate} for rate in rates]
    ordered = sorted(rates)
    return {
        "name": f"{workload}/{way.name}",
        "workload": workload,
        **way.row(),
        "runs": len(rates),
        "valid": invalid is None and bool(rates),
        "invalid": invalid,
        "pages_s": ordered[len(rates) // 2] if rates else None,
        "slowest": ordered[0] if rates else None,
        "fastest": ordered[-1] if rates else None,
        **common,
        "worker_mb": common["workers_mb"],
        "producer_mb": 60.0,
        "redis_mb": 12.0,
        "commands": measures.get("commands", 0.8),
        "script_calls": 20.0,
        "redis_bytes": 31000.0,
        "switches": 4.0,
        "switches_forced": 1.5,
        "latency": measures.get("latency", latency()),
        "failures": measures.get("failures", {}),
        "site_late_ms": 1.0,
        "harness_share": 0.011,
        "digest": "aa",
        "each": each or [{**run, "valid": False, "invalid": invalid, "pages_s": 1.0}],
    }


def latency(
    fetch: float = 10.0, wait: float = 1.0, parse: float = 1.0, queue: float = 50.0, tail: float = 2.0
) -> dict[str, dict[str, float]]:
    """Return quantiles: the given medians, `tail` times as much at p95."""
    stages = {"queue_ms": queue, "fetch_ms": fetch, "parse_wait_ms": wait, "parse_ms": parse}
    return {name: {"p50": v, "p95": v * tail, "p99": v * tail * 1.2} for name, v in stages.items()}


def result(*trials: dict[str, Any], workloads: tuple[Workload, ...] = (), cores: int = 2) -> dict[str, Any]:
    """Return a result of these trials, with the presets they name or with the workloads given."""
    known = {workload.name: workload for workload in (*PRESETS.values(), *workloads)}
    names = dict.fromkeys(trial["workload"] for trial in trials)
    return {
        "schema": 1,
        "poolcrawl": "0.1.0",
        "kind": "lab",
        "conditions": {
            "cores": cores,
            "system": "Linux-6.1",
            "python": "3.11.7",
            "memory": "PSS",
            "command": "poolcrawl bench",
            "settings": {},
            "versions": {"celery": "5.7.0"},
            "started_at": "2026-01-01T00:00:00Z",
            "rounds": 3,
            "machine": {"cpu": "Some CPU", "memory_mb": 8000},
            "niced": {"workers": 5},
        },
        "workloads": [
            {**known[name].row(), "expected_digest": "aa", "site_alone_pages_s": 5000.0} for name in names
        ],
        "trials": list(trials),
        "timelines": [],
        "marks": [],
        "guarantees": [],
        "advice": [],
    }
