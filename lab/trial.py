"""What a trial is, what one run of it measured, and the median of its runs."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

POOLS = ("prefork", "threads", "gevent", "solo")
PIPELINES = ("callback", "fused")
#: Worker processes of every trial of ours.
WORKERS = 2
#: The peer's name in tables and JSON.
SCRAPY = "scrapy"


@dataclass(frozen=True)
class Trial:
    """One way to crawl the site: a pool and a pipeline of ours."""

    pool: str
    pipeline: str

    @property
    def name(self) -> str:
        """How tables and JSON call it."""
        return f"{self.pool}/{self.pipeline}"


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

    @property
    def pages_s(self) -> float:
        """Pages per second."""
        return self.pages / self.seconds

    def row(self) -> dict[str, Any]:
        """Return the run for JSON, with what is derived."""
        return {**asdict(self), "pages_s": round(self.pages_s, 1)}


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
