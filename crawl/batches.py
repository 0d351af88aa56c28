"""What passes between the frontier, the pump and the workers: batches, answers, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawl import records


class Batch(msgspec.Struct, frozen=True):
    """What the pump sends: a lease, and enough about it for a person to read in Flower."""

    lease: str
    kind: str
    count: int
    url: str

    def summary(self) -> str:
        """Return the batch in a few words."""
        return self.url if self.count == 1 else f"{self.url} +{self.count - 1} more"


class Leased(msgspec.Struct, frozen=True):
    """The answer to `lease`. `next_ms` is None when nothing will become due by itself."""

    state: str
    batches: list[Batch]
    next_ms: int | None
    now_ms: int
    leased: int
    ended: bool


class Started(msgspec.Struct, frozen=True):
    """The answer to `start`: a batch that is now this worker's."""

    lease: str
    nonce: str
    now_ms: int
    requests: list[records.FetchRequest]
    entries: list[str]
    kind: str
    origin: str
    host: str
    doom: str | None
    expected_ms: float
    delay_ms: float
    robots_version: str
    crawl_id: str
    revision: str


class Loaded(msgspec.Struct, frozen=True):
    """The answer to `load`: a fetched batch to parse. `bodies` maps a position in the batch to its bytes."""

    lease: str
    nonce: str
    now_ms: int
    requests: list[records.FetchRequest]
    fetched: records.Fetched
    kind: str
    origin: str
    host: str
    crawl_id: str
    revision: str
    #: How many entries widen the scope by now; a worker that knows fewer reads the rest (`Frontier.scope_seeds`).
    scope_count: int
    bodies: Mapping[int, bytes]


class Report(msgspec.Struct, frozen=True):
    """What a batch's requests say of their host."""

    ended_ms: int
    requests: int
    mean_ms: float | None
    hold_until_ms: int
    answered: bool
    fails: int
    fail_reason: str


class Result(msgspec.Struct, frozen=True):
    """One terminal record on its way into Redis."""

    url: str
    depth: int
    outcome: str
    reason: str | None
    record: bytes


class RobotsAnswer(msgspec.Struct, frozen=True, omit_defaults=False):
    """What an origin's robots.txt came to; `retry_ms` instead of a verdict when it is worth another attempt."""

    origin: str
    verdict: str = "allow"
    body: str = ""
    fresh_ms: int = 0
    delay_ms: int = 0
    retry_ms: int | None = None


class Renewal(msgspec.Struct, frozen=True):
    """One lease to keep alive."""

    crawl: str
    lease: str
    host: str
    nonce: str
    lease_s: float
