"""What one run of a trial measured, and the medians of its runs."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from crawl.errors import UsageError
from lab.readings import median_latency

if TYPE_CHECKING:
    from lab.readings import Latency
    from lab.way import Way

POOLS = ("prefork", "threads", "gevent", "asyncio", "solo")
PIPELINES = ("callback", "fused")
#: Worker processes of every trial beside a peer.
WORKERS = 2
#: The peer's name in tables and JSON.
SCRAPY = "scrapy"


@dataclass(frozen=True)
class Run:
    """What one run of a trial measured; None where it does not apply or the system cannot tell.

    Interpreter and framework start are left out: `seconds` lie between the start of the first page's request and the
    end of the last page, CPU seconds are spent between the crawl's start and its end. Bytes are peaks; `worker_bytes`
    is the largest single worker with its children, `workers_bytes` all of them at one moment.
    """

    pages: int
    seconds: float
    wall_s: float
    worker_cpu_s: float
    producer_cpu_s: float | None = None
    redis_cpu_s: float | None = None
    client_commands: int | None = None
    script_calls: int | None = None
    worker_bytes: int | None = None
    workers_bytes: int | None = None
    producer_bytes: int | None = None
    redis_bytes: int | None = None
    digest: str | None = None
    #: The same after the warm-up, where there was one.
    steady_pages: float | None = None
    steady_s: float | None = None
    #: Milliseconds by stage and quantile (lab.readings).
    latency: Latency = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    #: Context switches of the workers, and those of them that the system forced.
    switches: int | None = None
    switches_forced: int | None = None
    #: Bytes that Redis received and sent.
    redis_net_bytes: int | None = None
    #: How late the site was beyond the latency it was to have, milliseconds (p95).
    site_late_ms: float | None = None
    #: CPU seconds of the lab itself while the crawl ran, as a share of what the machine has.
    harness_share: float | None = None
    #: Why this run proves nothing, or None.
    invalid: str | None = None

    @property
    def pages_s(self) -> float:
        """Pages per second, without the warm-up where there was one."""
        if self.steady_pages and self.steady_s:
            return self.steady_pages / self.steady_s
        return self.pages / self.seconds

    def row(self) -> dict[str, Any]:
        """Return the run for JSON, with what is derived."""
        return {**asdict(self), "pages_s": round(self.pages_s, 1), "valid": self.invalid is None}


@dataclass(frozen=True)
class Summary:
    """The medians of a trial's runs; CPU and commands are per page count as the names say."""

    name: str
    runs: int
    pages_s: float
    slowest: float
    fastest: float
    worker_cpu: float
    producer_cpu: float | None
    redis_cpu: float | None
    commands: float | None
    script_calls: float | None
    worker_mb: float | None
    workers_mb: float | None
    producer_mb: float | None
    redis_mb: float | None

    def row(self) -> dict[str, Any]:
        """Return the summary for JSON."""
        row = asdict(self)
        return {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}


def median(values: list[float | int | None]) -> float | None:
    """Return the median of the values that are there, or None when none is."""
    there = [float(value) for value in values if value is not None]
    return statistics.median(there) if there else None


def summarise(name: str, runs: list[Run]) -> Summary:
    """Return a trial's medians: CPU in seconds per 1000 pages, commands per page, memory in MB (10^6 bytes)."""

    def per(field: str, pages: int) -> float | None:
        return median([_scaled(getattr(run, field), pages / run.pages) for run in runs])

    def megabytes(field: str) -> float | None:
        return median([_scaled(getattr(run, field), 1e-6) for run in runs])

    rates = [run.pages_s for run in runs]
    return Summary(
        name=name,
        runs=len(runs),
        pages_s=statistics.median(rates),
        slowest=min(rates),
        fastest=max(rates),
        worker_cpu=per("worker_cpu_s", 1000) or 0.0,
        producer_cpu=per("producer_cpu_s", 1000),
        redis_cpu=per("redis_cpu_s", 1000),
        commands=per("client_commands", 1),
        script_calls=per("script_calls", 1),
        worker_mb=megabytes("worker_bytes"),
        workers_mb=megabytes("workers_bytes"),
        producer_mb=megabytes("producer_bytes"),
        redis_mb=megabytes("redis_bytes"),
    )


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def run_from_row(row: dict[str, Any]) -> Run:
    """Return a run as `Run.row` wrote it."""
    known = {one.name for one in fields(Run)}
    try:
        return Run(**{name: value for name, value in row.items() if name in known})
    except (TypeError, AttributeError):
        message = "the journal holds a run that is none; give another directory"
        raise UsageError(message) from None


def trial_row(workload: str, way: Way, runs: list[Run]) -> dict[str, Any]:
    """Return a trial for JSON: what it is, and the medians of its valid runs (null without any)."""
    valid = [run for run in runs if run.invalid is None]
    about: dict[str, Any] = {"name": f"{workload}/{way.name}", "workload": workload, **way.row()}
    about |= {
        "runs": len(valid),
        # One bad run is a bad trial: whatever dropped a page once may have dropped it elsewhere unseen.
        "valid": bool(valid) and len(valid) == len(runs),
        "invalid": next((run.invalid for run in runs if run.invalid is not None), None),
    }
    if not valid:
        return about | dict.fromkeys(_MEASURES) | {"latency": {}, "failures": {}, "each": _rows(runs)}
    measures = summarise(about["name"], valid).row()
    measures |= {
        "switches": _per_page(valid, "switches"),
        "switches_forced": _per_page(valid, "switches_forced"),
        "redis_bytes": _per_page(valid, "redis_net_bytes"),
        "site_late_ms": _rounded(median([run.site_late_ms for run in valid])),
        "harness_share": _rounded(median([run.harness_share for run in valid]), 4),
        "latency": median_latency([run.latency for run in valid]),
        "failures": valid[-1].failures,
        "digest": valid[-1].digest,
    }
    return {**measures, **about, "each": _rows(runs)}


#: What a trial without a valid run has no figure for.
_MEASURES = (
    *(one.name for one in fields(Summary) if one.name not in ("name", "runs")),
    *("switches", "switches_forced", "redis_bytes", "site_late_ms", "harness_share", "digest"),
)


def _rows(runs: list[Run]) -> list[dict[str, Any]]:
    return [run.row() for run in runs]


def _per_page(runs: list[Run], name: str) -> float | None:
    return _rounded(median([_scaled(getattr(run, name), 1 / run.pages) for run in runs]))


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)
