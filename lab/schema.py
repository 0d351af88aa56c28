"""The shape of a result: what `poolcrawl bench --json` prints, and what report, advice and comparison read.

It changes only by adding: a reader ignores fields it does not know, and a new field has a default. None stands where a
system cannot tell. `python -m lab.schema` prints it as JSON Schema, which is `docs/benchmarks/schema.json`.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

#: What `schema` says in a file of this shape.
VERSION = 1
#: What `kind` says in a file of this shape; the ladder writes another.
KIND = "lab"

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
PagesPerSecond = Annotated[float, Meta(ge=0, description="pages per second, warm-up left out")]
Amount = Annotated[float, Meta(ge=0)]
CpuSeconds = Annotated[float, Meta(ge=0, description="CPU seconds per 1000 pages")]
Megabytes = Annotated[float, Meta(ge=0, description="peak memory in MB (10^6 bytes)")]
PerPage = Annotated[float, Meta(ge=0, description="per page")]
Seconds = Annotated[float, Meta(ge=0, description="seconds")]
Share = Annotated[float, Meta(ge=0, description="share of one")]
Milliseconds = Annotated[float, Meta(ge=0, description="milliseconds")]


class Machine(Struct):
    """What the result was measured on."""

    cpu: str | None = None
    memory_mb: Count | None = None


class Conditions(Struct):
    """What the numbers depend on beside the trials themselves; `settings` are the caller's CRAWL_* variables."""

    cores: Count | None = None
    system: str | None = None
    python: str | None = None
    memory: Annotated[str, Meta(description="PSS or RSS: what memory means here")] | None = None
    command: str | None = None
    settings: dict[str, str] = {}
    versions: dict[str, str] = {}
    started_at: Annotated[str, Meta(description="RFC 3339")] | None = None
    rounds: Count | None = None
    machine: Machine | None = None
    niced: dict[str, int] = {}


class WorkloadRow(Struct):
    """A workload with its knobs (`lab.workload`), and what its site is and can do."""

    name: str
    pages: Positive
    hosts: Positive = 1
    latency_ms: Milliseconds = 0.0
    latency_sigma: Annotated[float, Meta(ge=0)] = 0.5
    latency_least_ms: Milliseconds = 0.0
    latency_most_ms: Milliseconds = 3000.0
    page_kb: Annotated[float, Meta(ge=0)] = 15.0
    links: Count = 20
    parse_ms: Milliseconds = 0.0
    errors: Annotated[float, Meta(ge=0, le=1, description="share of pages that answer 404")] = 0.0
    tls: bool = False
    seed: int = 1
    samples: list[dict[str, float]] = []
    expected_digest: str | None = None
    site_alone_pages_s: PagesPerSecond | None = None


class Quantiles(Struct):
    """Three quantiles in milliseconds."""

    p50: Milliseconds | None = None
    p95: Milliseconds | None = None
    p99: Milliseconds | None = None


class Latency(Struct):
    """Where a page's time went: waiting to be fetched, fetched, waiting to be parsed, parsed."""

    queue_ms: Quantiles | None = None
    fetch_ms: Quantiles | None = None
    parse_wait_ms: Quantiles | None = None
    parse_ms: Quantiles | None = None


class Run(Struct, kw_only=True):
    """One run of a trial, in whole numbers where the trial has medians per page.

    A run that is not valid is left out of the trial's medians. `seconds` are from the first request to the end of the
    last page, `steady_pages` and `steady_s` the same without the warm-up. Bytes are peaks of memory, `redis_bytes` that
    of Redis; `redis_net_bytes` is what went to and from it.
    """

    valid: bool
    invalid: Annotated[str, Meta(description="why not, one sentence")] | None = None
    pages_s: PagesPerSecond | None = None
    pages: Count | None = None
    seconds: Seconds | None = None
    wall_s: Seconds | None = None
    steady_pages: Amount | None = None
    steady_s: Seconds | None = None
    worker_cpu_s: Seconds | None = None
    producer_cpu_s: Seconds | None = None
    redis_cpu_s: Seconds | None = None
    client_commands: Amount | None = None
    script_calls: Amount | None = None
    worker_bytes: Amount | None = None
    workers_bytes: Amount | None = None
    producer_bytes: Amount | None = None
    redis_bytes: Amount | None = None
    redis_net_bytes: Amount | None = None
    switches: Amount | None = None
    switches_forced: Amount | None = None
    latency: Latency | None = None
    failures: dict[str, Count] | None = None
    site_late_ms: Milliseconds | None = None
    harness_share: Share | None = None
    digest: str | None = None


class Trial(Struct, kw_only=True):
    """A way to crawl (`lab.way`) on a workload, and the medians of its valid runs, of which there are `runs`.

    Without a valid run `pages_s` is null. `worker_mb` is the largest worker with its children, `workers_mb` all of them
    at one moment. `site_late_ms` is the 95th percentile of how late the site answered beyond the latency it had drawn.
    `harness_share` is what the lab itself took of the machine's CPU.
    """

    name: Annotated[str, Meta(description="workload, a slash, way")]
    workload: str
    way: str
    pool: str
    concurrency: Count
    processes: Count
    slots: Count
    pipeline: str = "callback"
    batch: Count = 20
    events: bool = False
    parse_pool: str | None = None
    parse_concurrency: Count = 0
    parse_processes: Count = 1
    runs: Count
    valid: bool
    invalid: Annotated[str, Meta(description="why not, one sentence")] | None = None
    pages_s: PagesPerSecond | None
    slowest: Annotated[PagesPerSecond, Meta(description="the slowest valid run")] | None = None
    fastest: Annotated[PagesPerSecond, Meta(description="the fastest valid run")] | None = None
    worker_cpu: CpuSeconds | None = None
    producer_cpu: CpuSeconds | None = None
    redis_cpu: CpuSeconds | None = None
    workers_mb: Megabytes | None = None
    worker_mb: Megabytes | None = None
    producer_mb: Megabytes | None = None
    redis_mb: Megabytes | None = None
    commands: Annotated[PerPage, Meta(description="client commands")] | None = None
    script_calls: Annotated[PerPage, Meta(description="commands called inside scripts")] | None = None
    redis_bytes: Annotated[PerPage, Meta(description="bytes to and from Redis")] | None = None
    switches: Annotated[PerPage, Meta(description="context switches of the workers")] | None = None
    switches_forced: Annotated[PerPage, Meta(description="the involuntary ones of them")] | None = None
    latency: Latency | None = None
    failures: Annotated[dict[str, Count], Meta(description="by reason, of one run")] | None = None
    site_late_ms: Milliseconds | None = None
    harness_share: Share | None = None
    digest: str | None = None
    each: list[Run] = []


class Span(Struct):
    """What a lane did for a while; times since the crawl's first request. `runs`: when it really had the CPU."""

    kind: str
    start_ms: float
    end_ms: float
    url: str | None = None
    runs: list[tuple[float, float]] | None = None


class Lane(Struct):
    """One slot's spans."""

    worker: str
    slot: str
    kind: str
    spans: list[Span]


class Timeline(Struct):
    """One run, slot by slot."""

    name: str
    workload: str
    way: str
    pool: str
    seconds: float
    lanes: list[Lane]


class Guarantee(Struct):
    """What a pool promises beside speed, and whether it kept it when tried."""

    pool: str
    guarantee: str
    kept: bool
    measured: str
    figure: str = ""


class Advice(Struct):
    """A recommendation of `lab.advice`, which says what its other fields are."""

    workload: str
    goal: str
    way: str | None
    sentence: str


class Result(Struct):
    """A result of the lab."""

    schema: Annotated[int, Meta(ge=VERSION, le=VERSION)]
    kind: Annotated[str, Meta(pattern=f"^{KIND}$")]
    poolcrawl: str
    conditions: Conditions
    workloads: list[WorkloadRow]
    trials: list[Trial]
    timelines: list[Timeline] = []
    guarantees: list[Guarantee] = []
    advice: list[Advice] = []


def json_schema() -> dict[str, Any]:
    """Return the shape as JSON Schema."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A result of poolcrawl's lab, schema {VERSION}",
    }
    return head | msgspec.json.schema(Result)


def document() -> str:
    """Return the text of `docs/benchmarks/schema.json`."""
    return msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
