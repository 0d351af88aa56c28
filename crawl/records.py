"""What crosses a process: requests, page references, page records, and a crawl's frozen options.

JSON on the wire, encoded by msgspec. A waiting request is kept in Redis as one short line (an *entry*), because a
frontier holds millions of them: `attempts losses alone depth hops via queued_ms parent url`. `via` is a letter, with
the generation behind it where the URL is tried again (`l2`).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Literal

import msgspec

from crawl import names
from crawl.errors import DamagedCrawlError

#: Version of what a crawl keeps in Redis; another release with another number refuses the crawl clearly.
SCHEMA = 2

#: Deaths of a process after which the URLs that were there each time are suspects.
SUSPECT_DEATHS = 2

Outcome = Literal["ok", "redirect", "failed", "skipped"]

OUTCOMES = ("ok", "redirect", "failed", "skipped")

#: Why a page has no content; `None` for `ok` and `redirect`.
REASONS = (
    "dns",
    "connect",
    "tls",
    "timeout",
    "reset",
    "protocol",
    "http",
    "too_large",
    "decode",
    "redirects",
    "robots",
    "address",
    "scheme",
    "scope",
    "content_type",
    "trap",
    "budget",
    "cancelled",
    "parse",
    "lost",
    "error",
)

#: Reasons that another attempt may cure; `http` only with one of `TRANSIENT_STATUSES`.
TRANSIENT_REASONS = frozenset({"dns", "connect", "timeout", "reset"})
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

_VIA_CODES = {names.SEED: "s", names.LINK: "l", names.REDIRECT: "r", names.SITEMAP: "m"}
_VIA_NAMES = {code: name for name, code in _VIA_CODES.items()}


_encoder = msgspec.json.Encoder()


class FetchRequest(msgspec.Struct, frozen=True):
    """One URL to ask for, as the frontier holds it.

    `losses` counts workers it has ended for certain; `alone` says it travels in a batch of its own. `deaths` counts how
    often a process ended while this URL was among its work (9 at most): with `SUSPECT_DEATHS` it is a suspect.
    `generation` is 0, or that of the `retry` that admitted it again.
    """

    url: str
    kind: str = names.PAGE
    depth: int = 0
    via: str = names.SEED
    parent: str | None = None
    hops: int = 0
    queued_ms: int = 0
    attempts: int = 0
    losses: int = 0
    alone: bool = False
    deaths: int = 0
    generation: int = 0

    @property
    def suspect(self) -> bool:
        """Whether it may only be worked on while its process does nothing else."""
        return self.deaths >= SUSPECT_DEATHS


def encode_entry(request: FetchRequest) -> str:
    """Return the frontier's line for a request; canonical URLs hold no space, so a space separates.

    A parent on the same origin is kept as its path only.
    """
    parent = request.parent or "-"
    if parent != "-":
        slash = request.url.find("/", 8)
        origin = request.url[:slash] if slash > 0 else ""
        if origin and parent.startswith(origin + "/"):
            parent = parent[len(origin) :]
    apart = min(9, max(request.deaths, int(request.alone)))
    return (
        f"{request.attempts} {request.losses} {apart} {request.depth} {request.hops} "
        f"{_VIA_CODES[request.via]}{request.generation or ''} {request.queued_ms:x} {parent} {request.url}"
    )


def decode_entry(entry: str, kind: str = names.PAGE) -> FetchRequest:
    """Return the request of a frontier line; the inverse of `encode_entry`."""
    attempts, losses, apart, depth, hops, via, queued, parent, url = entry.split(" ", 8)
    if parent == "-":
        full_parent = None
    elif parent.startswith("/"):
        full_parent = url[: url.find("/", 8)] + parent
    else:
        full_parent = parent
    return FetchRequest(
        url=url,
        kind=kind,
        depth=int(depth),
        via=_VIA_NAMES[via[0]],
        parent=full_parent,
        hops=int(hops),
        queued_ms=int(queued, 16),
        attempts=int(attempts),
        losses=int(losses),
        alone=apart != "0",
        # One digit for both: a first death says no more than that it travels alone.
        deaths=int(apart) if int(apart) >= SUSPECT_DEATHS else 0,
        generation=int(via[1:] or 0),
    )


class PageRef(msgspec.Struct, omit_defaults=True):
    """What one request came to, without its body; made by `fetch`, read by `parse`.

    `location` is the raw Location header of a 3xx (joined and judged by parse); `again` says that it leads back to the
    same URL, for which the answer set a cookie. `refresh` is the target of a Refresh header, not joined. `robots_tag`
    is the raw X-Robots-Tag, one line for each of several. `retry_after_s` is the seconds the server asked for.
    `requested` is False where no request was made (robots, address, doomed host).
    Times are Redis milliseconds.
    """

    index: int
    outcome: Outcome
    reason: str | None = None
    detail: str | None = None
    status: int | None = None
    content_type: str | None = None
    charset: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    location: str | None = None
    retry_after_s: float | None = None
    robots_tag: str | None = None
    again: bool = False
    refresh: str | None = None
    requested: bool = True
    started_ms: int = 0
    ended_ms: int = 0

    @property
    def transient(self) -> bool:
        """Whether another attempt may cure it; where no request was made (a host given up), none was tried."""
        if self.again:
            return True
        if self.outcome != "failed" or not self.requested:
            return False
        if self.reason == "http":
            return self.status in TRANSIENT_STATUSES
        return self.reason in TRANSIENT_REASONS


class Fetched(msgspec.Struct):
    """A batch's references, and who made its requests."""

    pool: str
    slot: str
    worker: str
    refs: list[PageRef]


class PageRecord(msgspec.Struct):
    """The one terminal record of an admitted URL, its newest generation's; fields as in `docs/records.md`."""

    crawl: str
    url: str
    via: str
    parent: str | None
    depth: int
    attempts: int
    outcome: Outcome
    redirect_to: str | None = None
    reason: str | None = None
    detail: str | None = None
    status: int | None = None
    content_type: str | None = None
    charset: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    title: str | None = None
    description: str | None = None
    canonical_link: str | None = None
    lang: str | None = None
    text_length: int | None = None
    links: list[str] = []
    data: dict[str, Any] = {}
    queued_at: str | None = None
    started_at: str | None = None
    fetched_at: str | None = None
    parsed_at: str | None = None
    fetch_ms: float | None = None
    parse_ms: float | None = None
    wait_ms: float | None = None
    pool: str | None = None
    slot: str | None = None
    worker: str | None = None
    parse_pool: str | None = None
    parse_worker: str | None = None
    lease: str | None = None
    parse_slot: str | None = None
    kind: str | None = None
    robots: list[str] = []
    open_graph: dict[str, Any] = {}
    json_ld: list[Any] = []
    text: str | None = None
    generation: int = 0


class CrawlOptions(msgspec.Struct, frozen=True):
    """A crawl's options, frozen when it is submitted; workers read them from Redis.

    Durations in seconds, sizes in bytes. `resolve` holds `NAME:PORT=ADDRESS:PORT`; `allow_addresses` is None when the
    submitter said nothing (the workers' own list then counts). `credentials` holds (origin, `basic` or `bearer`,
    secret), `headers` (name, value), `extract` the rules as JSON, `recrawl` the name of an older crawl.
    """

    seeds: tuple[str, ...] = ()
    depth: int | None = None
    max_pages: int | None = None
    scope: str = "host"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    delay_s: float = 1.0
    host_concurrency: int = 8
    robots: str = "obey"
    max_hold_s: float = 3600.0
    user_agent: str = "poolcrawl"
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 20.0
    total_timeout_s: float = 60.0
    max_body_bytes: int = 10 * 1024 * 1024
    max_redirects: int = 10
    max_attempts: int = 4
    max_losses: int = 3
    max_links: int = 10_000
    lease_s: float = 30.0
    batch: int = 20
    pipeline: str = names.PIPELINE_CALLBACK
    window: int | None = None
    allow_addresses: tuple[str, ...] | None = None
    resolve: tuple[str, ...] = ()
    demo: bool = False
    drop_query: tuple[str, ...] = ()
    max_pages_per_host: int | None = None
    max_crawl_delay_s: float = 60.0
    adaptive_delay: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    cookies: bool = False
    credentials: tuple[tuple[str, str, str], ...] = ()
    extract: str | None = None
    extractor: str | None = None
    main_text: bool = False
    sitemaps: bool = False
    recrawl: str | None = None
    traps: str = "park"
    pattern_budget: int = 100_000
    calendar_budget: int = 2_000
    #: How many buckets the seen set has (see `docs/keys.md`); fixed when the crawl is made.
    seen_buckets: int = 16_384

    def reads_as(self, other: CrawlOptions) -> bool:
        """Whether a page unchanged since the other crawl would come to the same record here."""
        return all(getattr(self, name) == getattr(other, name) for name in _READING)

    def view(self) -> str:
        """Return what keeps this crawl's robots.txt answers apart from others': nothing, for most crawls.

        A crawl that maps names elsewhere, or may reach other addresses, asks other servers under the same names; one
        that sends headers or a login of its own may be told something else.
        """
        if not (self.resolve or self.headers or self.credentials) and self.allow_addresses is None:
            return ""
        told = _encoder.encode((sorted(self.resolve), sorted(self.allow_addresses or ())))
        if self.headers or self.credentials:
            # Without secrets: the digest is part of a key's name.
            logins = sorted((origin, kind) for origin, kind, _ in self.credentials)
            told += _encoder.encode((sorted(self.headers), logins))
        return blake2b(told, digest_size=6).hexdigest()


#: Options on which depends what is asked for and what is read of it.
_READING = (
    *("extract", "extractor", "main_text", "max_links", "max_body_bytes", "drop_query"),
    *("headers", "cookies", "credentials"),
)

_fetched_decoder = msgspec.json.Decoder(Fetched)
_record_decoder = msgspec.json.Decoder(PageRecord)
_options_decoder = msgspec.json.Decoder(CrawlOptions)


def to_json(value: Any) -> bytes:
    """Return any record of this module as JSON."""
    return _encoder.encode(value)


def fetched_from_json(text: bytes | str) -> Fetched:
    """Return the page references of a batch and who made them."""
    return _fetched_decoder.decode(text)


def record_from_json(text: bytes | str) -> PageRecord:
    """Return a page record."""
    return _record_decoder.decode(text)


def options_from_json(text: bytes | str) -> CrawlOptions:
    """Return a crawl's frozen options."""
    return _options_decoder.decode(text)


def number_of(crawl: str, what: str, text: bytes | str | int | None) -> int:
    """Return a number that Redis keeps of a crawl, `what` in words. Raises DamagedCrawlError when it is none."""
    try:
        return int(text)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        why = "it is missing" if text is None else error
        raise DamagedCrawlError.of(crawl, what, why) from None
