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
    #: Most batches at the host at once, as of the start.
    cap: int = 0


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


class Look(msgspec.Struct, frozen=True):
    """Second looks that are due before the crawl may end; see `producer/again.py`.

    `until` is set when the scope, of `count` entries, was widened after links had been refused: the records up to that
    stream entry were judged by the first `known` entries at least. `heirs` says that seeds redirect to pages that were
    known before, `levels` that pages may lie nearer than they were found; `after` is the stream entry after which
    records came once the levels had been served. `last` is the newest stream entry, `came_late` how often URLs came
    into a crawl of finite depth from outside when levels may have been served.
    """

    count: int
    known: int
    until: str | None
    heirs: bool
    levels: bool
    after: str | None
    last: str
    came_late: int = 0

    @property
    def due(self) -> bool:
        """Whether there is anything to look at."""
        return self.until is not None or self.heirs or self.levels


class Refusal(msgspec.Struct, frozen=True):
    """A 429 or 503: its status, when its request began, and the pause that it asks for (0: it names none)."""

    status: int
    began_ms: int
    pause_ms: int


class Report(msgspec.Struct, frozen=True):
    """What a batch's requests say of their host.

    `good_ms` is when the last request began that was answered and not refused; a batch ends with its first refusal.
    """

    ended_ms: int
    requests: int
    mean_ms: float | None
    answered: bool
    fails: int
    fail_reason: str
    good_ms: int | None = None
    refusal: Refusal | None = None


class Result(msgspec.Struct, frozen=True):
    """One terminal record on its way into Redis."""

    url: str
    depth: int
    outcome: str
    reason: str | None
    record: bytes
    #: Of a URL that was admitted again after a record; 0 for its first one.
    generation: int = 0


class Again(msgspec.Struct, frozen=True):
    """A URL to be admitted again: its new request, and the record that it has, as it is stored."""

    request: records.FetchRequest
    outcome: str
    reason: str | None
    record: bytes


class RobotsAnswer(msgspec.Struct, frozen=True, omit_defaults=False):
    """What a request for an origin's robots.txt came to: a verdict, or what is to be asked for next.

    That is `ask_url`, the target of a redirect, which `hops` redirects have led to; or the same URL again after
    `retry_ms`. `body` is what `worker.robots.Rules` keeps of the file for the verdict `rules`, and for `deny` the
    reason and the sentence of the records (`denial`). `sitemaps` are URLs, one on each line. An answer counts for
    `fresh_ms`; when a later one cannot be had, an older one that was given at most `keep_ms` ago goes on counting, for
    `stale_ms` each time.
    """

    origin: str
    verdict: str = "allow"
    body: str = ""
    fresh_ms: int = 0
    delay_ms: int = 0
    retry_ms: int | None = None
    ask_url: str | None = None
    hops: int = 0
    sitemaps: str = ""
    keep_ms: int = 0
    stale_ms: int = 0


def denial(why: str) -> str:
    """Return the body of a `deny`: reason `robots`, and what stands in the records of its pages."""
    return f"robots robots.txt could not be had ({why}), so nothing may be fetched (RFC 9309 section 2.3.1.4)"


class Renewal(msgspec.Struct, frozen=True):
    """One lease to keep alive."""

    crawl: str
    lease: str
    host: str
    nonce: str
    lease_s: float
