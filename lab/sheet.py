"""The result as CSV: one row per trial, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.results import Row

_WAY = (
    "name", "workload", "way", "pool", "concurrency", "processes", "slots", "pipeline", "batch", "events",
    "parse_pool", "parse_concurrency", "parse_processes",
)  # fmt: skip
_MEASURES = (
    "runs", "valid", "invalid", "pages_s", "slowest", "fastest", "worker_cpu", "producer_cpu", "redis_cpu",
    "workers_mb", "worker_mb", "producer_mb", "redis_mb", "commands", "script_calls", "redis_bytes",
    "switches", "switches_forced", "site_late_ms",
)  # fmt: skip
#: The parts of a page's way that have quantiles, in the order in which it takes them.
STAGES = ("queue", "fetch", "parse_wait", "parse")
QUANTILES = ("p50", "p95", "p99")

#: Fixed, so that files of different results can be joined; changes only by adding at the end.
COLUMNS = (
    *_WAY,
    *_MEASURES,
    *(f"{stage}_{quantile}_ms" for stage in STAGES for quantile in QUANTILES),
    "failures",
    "digest",
)


def to_csv(result: Row) -> str:
    """Return one line per trial below a line of names (COLUMNS), in the result's order.

    Units are the result's (`docs/benchmarks/schema.json`). An empty cell is a measure that is not there; `failures` is
    like `http=5 timeout=1`; truth values are `true` and `false`.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(trial) for trial in result["trials"])
    return out.getvalue()


def quantile(trial: Row, stage: str, name: str) -> float | None:
    """Return one quantile of one stage of a trial in ms, None when it is not there."""
    quantiles = (trial.get("latency") or {}).get(f"{stage}_ms") or {}
    value: float | None = quantiles.get(name)
    return value


def _flat(trial: Row) -> dict[str, Any]:
    row = {name: _cell(trial.get(name)) for name in (*_WAY, *_MEASURES, "digest")}
    for stage in STAGES:
        for name in QUANTILES:
            row[f"{stage}_{name}_ms"] = _cell(quantile(trial, stage, name))
    failures = sorted((trial.get("failures") or {}).items())
    return {**row, "failures": " ".join(f"{reason}={count}" for reason, count in failures)}


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value
