"""Reading a crawl: its status, its records in order of completion, and which crawls there are."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from crawl import keys, names, records, urls
from crawl.errors import DamagedCrawlError, UnknownCrawlError
from crawl.frontier import Frontier, check_schema, options_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

#: Records read per round trip.
PAGE = 500
_STATES = frozenset({names.RUNNING, names.PAUSED, names.CANCELLED, names.FINISHED, names.DELETED})


class Status(msgspec.Struct, frozen=True):
    """One consistent look at a crawl; times are Redis milliseconds.

    `refused` counts links that were not admitted, by reason; `capped` among them says that a cap was reached.
    """

    crawl: str
    state: str
    paused_by: str | None
    created_ms: int
    ended_ms: int | None
    now_ms: int
    admitted: int
    done: int
    waiting: int
    leased: int
    delayed: int
    suspects: int
    outcomes: dict[str, int]
    reasons: dict[str, int]
    refused: dict[str, int]
    losses: int
    reclaimed: int
    #: Time a producer worked on it, milliseconds.
    active_ms: int
    #: Whether a producer works on it now.
    pumped: bool
    demo: bool
    #: URLs that ended without a record, because the crawl was cancelled.
    cancelled: int = 0
    #: Whether somebody began to submit seeds and ended before the last one.
    seeds_cut: bool = False
    #: URLs that have a record and wait for a newer one (`retry`); they do not count as done.
    retrying: int = 0
    #: How often `retry` has admitted URLs again.
    generation: int = 0
    #: Records that are done, but in a file only, and that file.
    trimmed: int = 0
    trimmed_to: str = ""

    @property
    def elapsed_s(self) -> float:
        """Seconds a producer worked on it, without the time it lay idle; of a running crawl, up to 4 s ago."""
        return max(0.001, (self.active_ms or self.now_ms - self.created_ms) / 1000)

    @property
    def done_share(self) -> float:
        """Share of the admitted URLs that have their record, from 0 to 1."""
        return self.done / self.admitted if self.admitted else 0.0


def status(client: redis.Redis, crawl: str) -> Status:
    """Return a crawl's status. Raises UnknownCrawlError, and DamagedCrawlError when it cannot be read."""
    about, counted, kept, leased, _, delayed, suspects, _, now_ms, retrying = Frontier(client, crawl).status()
    if not about:
        raise unknown(client, crawl)
    check_schema(crawl, about.get("schema"))
    _check_words(crawl, about, counted)
    counts = {name: records.number_of(crawl, f"its count '{name}'", value) for name, value in counted.items()}
    admitted, trimmed = counts.get("admitted", 0), counts.get("trimmed", 0)
    # What waits to be tried again is not trimmed, so nothing is taken off twice.
    done = kept + trimmed - retrying
    cancelled = counts.get("cancelled", 0)
    pumped = bool(client.exists(keys.pump(crawl)))
    return Status(
        crawl=crawl,
        state=about["state"],
        paused_by=about.get("paused_by"),
        active_ms=records.number_of(crawl, "its active_ms", about.get("active_ms", 0)),
        demo=options_of(crawl, about.get("options", "")).demo,
        pumped=pumped,
        created_ms=records.number_of(crawl, "its created_at", about.get("created_at")),
        ended_ms=records.number_of(crawl, "its ended_at", about["ended_at"]) if "ended_at" in about else None,
        now_ms=now_ms,
        admitted=admitted,
        done=done,
        waiting=admitted - done - leased - cancelled,
        leased=leased,
        delayed=delayed,
        suspects=suspects,
        outcomes={name: counts[name] for name in records.OUTCOMES if name in counts},
        reasons={
            name.partition(" ")[2]: value
            for name, value in sorted(counts.items())
            if name.partition(" ")[0] in ("failed", "skipped") and " " in name
        },
        refused={
            name.removeprefix("refused "): value
            for name, value in sorted(counts.items())
            if name.startswith("refused ")
        },
        losses=counts.get("losses", 0),
        reclaimed=counts.get("reclaimed", 0),
        cancelled=cancelled,
        # An open source whose submitter is alive, or that the owner itself reads, is not cut.
        seeds_cut=about.get("seeds_open") == "1" and not client.exists(keys.submitter(crawl)),
        retrying=retrying,
        generation=records.number_of(crawl, "its generation", about.get("generation", 0)),
        trimmed=trimmed,
        trimmed_to=about.get("trimmed_to", ""),
    )


def _check_words(crawl: str, about: dict[str, str], counts: dict[str, str]) -> None:
    """Raise DamagedCrawlError for what is no text, and for a state that there is not."""
    state = about.get("state")
    if state not in _STATES:
        raise DamagedCrawlError.of(crawl, "its state", "it is missing" if state is None else repr(state))
    try:
        "".join((about.get("paused_by", ""), about.get("trimmed_to", ""), *counts)).encode()
    except UnicodeEncodeError as error:
        raise DamagedCrawlError.of(crawl, "its counts, paused_by or trimmed_to", error) from None


def crawls(client: redis.Redis) -> list[str]:
    """Return the names of all crawls, oldest first."""
    return [name.decode() for name in client.zrange(keys.crawls(), 0, -1)]


def pump_services(client: redis.Redis) -> int:
    """Return how many pump services are alive."""
    seconds, micros = client.time()
    return int(client.zcount(keys.pumps(), seconds * 1000 + micros // 1000, "+inf"))


def resolve(client: redis.Redis, crawl: str | None) -> str:
    """Return the crawl a person means: the one named, else the newest. Raises UnknownCrawlError."""
    if crawl is not None:
        if client.zscore(keys.crawls(), crawl) is None:
            raise unknown(client, crawl)
        return crawl
    newest = client.zrange(keys.crawls(), -1, -1)
    if not newest:
        message = "no crawl has been made yet; start one with `poolcrawl demo` or `poolcrawl crawl URL`"
        raise UnknownCrawlError(message)
    return str(newest[0].decode())


def unknown(client: redis.Redis, crawl: str) -> UnknownCrawlError:
    """Return the error for a name that no crawl has, with those that exist."""
    there = crawls(client)
    known = f"there are {', '.join(there[-5:])}" if there else "no crawl has been made yet"
    return UnknownCrawlError(f"there is no crawl '{crawl}'; {known} (`poolcrawl list` shows all)")


class Entry(NamedTuple):
    """One entry of the results stream; the generation is 0 unless the URL was tried again."""

    identifier: str
    fingerprint: str
    generation: int


class _Generation(msgspec.Struct):
    generation: int = 0


_generation_decoder = msgspec.json.Decoder(_Generation)


def listed(client: redis.Redis, crawl: str, after: str = "-") -> Iterator[Entry]:
    """Yield every entry of the results stream, in order of completion, after a stream id.

    Raises DamagedCrawlError at one that is none.
    """
    start = after if after == "-" else f"({after}"
    while True:
        rows: list[Any] = client.xrange(keys.results(crawl), min=start, count=PAGE)
        for identifier, fields in rows:
            try:
                entry = Entry(identifier.decode(), fields[b"f"].decode(), int(fields.get(b"g", 0)))
            except (KeyError, ValueError) as error:
                what = f"entry {identifier.decode()} of its results stream"
                raise DamagedCrawlError.of(crawl, what, error) from None
            yield entry
        if len(rows) < PAGE:
            return
        start = f"({rows[-1][0].decode()}"


def entries(client: redis.Redis, crawl: str, after: str = "-") -> Iterator[tuple[str, str]]:
    """Yield (stream id, fingerprint) of every record in order of completion, after a stream id."""
    for entry in listed(client, crawl, after):
        yield entry.identifier, entry.fingerprint


def lines(client: redis.Redis, crawl: str, after: str = "-") -> Iterator[tuple[str, bytes]]:
    """Yield (stream id, record as JSON) in order of completion, after a stream id; of each URL its newest one alone.

    While a crawl runs that URLs are tried again in, one may come twice: the later one counts.
    """
    behind = True
    while behind:
        behind = False
        rows = listed(client, crawl, after)
        while batch := list(itertools.islice(rows, PAGE)):
            after = batch[-1].identifier
            for entry, record, newer in _records(client, crawl, batch):
                if record is not None and not newer:
                    yield entry.identifier, record
                # The entry of the newer one may have come after the last that was read.
                behind = behind or newer


def _records(
    client: redis.Redis, crawl: str, batch: list[Entry]
) -> Iterator[tuple[Entry, bytes | None, bool]]:
    """Yield each entry's record, and whether that is of a later generation than the entry."""
    with client.pipeline(transaction=False) as pipe:
        pipe.hmget(keys.records(crawl), [entry.fingerprint for entry in batch])
        # Asked last: where no retry was made before, none of these records is of one.
        pipe.hexists(keys.crawl(crawl), "generation")
        found, tried_again = pipe.execute()
    for entry, record in zip(batch, found, strict=True):
        newer = False
        if tried_again and record is not None:
            # A damaged record is given as it is; the audit names it.
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                newer = _generation_decoder.decode(record).generation > entry.generation
        yield entry, record, newer


class Request(msgspec.Struct, array_like=True, frozen=True):
    """One request as a batch of the attempts stream has it; times are Redis milliseconds.

    `cap` is None where an older release wrote it.
    """

    url: str
    host: str
    kind: str
    start_ms: int
    end_ms: int
    delay_ms: int
    worker: str
    result: str
    cap: int | None = None


_requests_decoder = msgspec.json.Decoder(list[Request])


def requests(
    crawl: str, identifier: bytes, fields: dict[bytes, bytes], needle: bytes = b""
) -> tuple[list[Request], int]:
    """Return the requests of one batch of the attempts stream, and until when the last of them held the host (0: not).

    None of a batch whose text has no `needle`. Raises DamagedCrawlError.
    """
    try:
        text = fields[b"a"]
        if needle not in text:
            return [], 0
        return _requests_decoder.decode(text), int(fields.get(b"h", 0))
    except (KeyError, ValueError, msgspec.DecodeError) as error:
        what = f"entry {identifier.decode()} of its attempts stream"
        raise DamagedCrawlError.of(crawl, what, error) from None


def seen_fingerprints(client: redis.Redis, crawl: str, buckets: int) -> Iterator[str]:
    """Yield the fingerprint of every admitted URL."""
    for first in range(0, buckets, 2000):
        with client.pipeline(transaction=False) as pipe:
            for bucket in range(first, min(first + 2000, buckets)):
                pipe.smembers(keys.seen(crawl, bucket))
            for members in pipe.execute():
                for member in members:
                    yield member.decode("utf-8", "backslashreplace")


def unfinished_fingerprints(client: redis.Redis, crawl: str) -> Iterator[str]:
    """Yield the fingerprint of every URL that waits or is leased; only meaningful while nothing moves."""
    for queue in client.smembers(keys.queues(crawl)):
        first = 0
        while rows := client.lrange(queue, first, first + 999):
            for row in rows:
                yield _fingerprint(row)
            first += 1000
    for member, _ in client.zscan_iter(keys.delayed(crawl)):
        yield _fingerprint(member)
    for member in client.lrange(keys.suspects(crawl), 0, -1):
        yield _fingerprint(member)
    for lease in client.zrange(keys.leases(crawl), 0, -1):
        held, kind = client.hmget(lease, "entries", "kind")
        if held and kind == names.PAGE.encode():
            for row in held.split(b"\n"):
                yield _fingerprint(row)


def _fingerprint(entry: bytes) -> str:
    return str(urls.fingerprint(entry.rsplit(b" ", 1)[-1].decode()))
