"""The audit: does every admitted URL have exactly one record, and what do the records come to?

Of a URL that was tried again the newest record counts, and it has one entry of the results stream for each generation.

A trimmed record counts by its tombstone. Its share of the digest is in the file that it was trimmed into: with that
file each record is held against its tombstone, and the digest is that of all, as if none had been trimmed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from crawl import keys, names, records, results, temporary, tombstones, urls
from crawl.errors import DamagedCrawlError, UsageError
from crawl.frontier import Frontier
from crawl.inventory import SLICE, Inventory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import redis

#: Looks at a running crawl: a URL may move between two places while one look goes from the one to the other.
LOOKS = 10
#: Faults of one kind that are named; further ones are counted.
NAMED = 20


class Fault(msgspec.Struct, frozen=True):
    """One URL with which something is wrong: `missing`, `duplicate`, `stray`, `damaged`, or `absent` from the file.

    `url` is None where nothing that is kept names it.
    """

    kind: str
    url: str | None
    fingerprint: str
    what: str


class Audit(msgspec.Struct, frozen=True):
    """What an audit found. `pending` URLs have no record yet, or wait for a newer one.

    `cancelled` ones have none because the crawl was cancelled before they were done. `strays` have a record and were
    never admitted. `retried` URLs were tried again, in `generations` of `retry`. `faults` names the first of each kind.
    `trimmed` of the `records` are in a file only; the file given lacks `absent` of these, or has them otherwise.
    `damaged` of the `records` cannot be read.
    """

    crawl: str
    records: int
    missing: int
    duplicate: int
    capped: int
    #: None where records were trimmed and no file is given that holds them all, and where one is damaged.
    digest: str | None
    pending: int = 0
    state: str = ""
    cancelled: int = 0
    strays: int = 0
    generations: int = 0
    retried: int = 0
    faults: list[Fault] = []
    trimmed: int = 0
    absent: int = 0
    damaged: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing is missing, double, damaged, absent, or there without having been admitted."""
        return not (self.missing or self.duplicate or self.strays or self.absent or self.damaged)


class Told(msgspec.Struct):
    """What a record tells of its page: the fields that are the same in every pool, batch size, pipeline and stack."""

    url: str
    outcome: str
    reason: str | None = None
    status: int | None = None
    sha256: str | None = None
    links: list[str] = []
    redirect_to: str | None = None


class _Placed(Told):
    """What is read of a record to compare it with what was admitted, and to see that the digest can be made of it."""

    generation: int = 0


class _Leads(msgspec.Struct):
    """What is read of a record to name a URL that has none."""

    url: str
    links: list[str] = []
    redirect_to: str | None = None
    parent: str | None = None


def digest(lines: Iterable[bytes]) -> str:
    """Return the digest of records as they are stored."""
    decoder = msgspec.json.Decoder(Told)
    return digest_of(decoder.decode(line) for line in lines)


def digest_of(records: Iterable[Told]) -> str:
    """Return the SHA-256 over the sorted records' url, outcome, reason, status, sha256, links and redirect_to."""
    return _digest_of_rows(row_of(row) for row in sorted(records, key=lambda row: row.url))


def _digest_of_rows(rows: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for row in rows:
        whole.update(row)
        whole.update(b"\n")
    return whole.hexdigest()


def row_of(row: Told) -> bytes:
    """Return what one record contributes to the digest."""
    fields = (row.url, row.outcome, row.reason, row.status, row.sha256, row.links, row.redirect_to)
    return msgspec.json.encode(fields)


def audit(client: redis.Redis, crawl: str, file: BinaryIO | None = None) -> Audit:
    """Compare what was admitted with what has a record.

    `file` holds the lines into which records were trimmed. Raises UnknownCrawlError, and UsageError when no line of the
    file is a record of this crawl, or when the folder of temporary files is full or cannot be written.
    """
    for _ in range(LOOKS):
        trimmed = tombstones.count(client, crawl)
        with temporary.database("audit") as store:
            found = _Auditing(client, crawl, Inventory(store), file).run()
        # Else somebody trims meanwhile: records were on their way from one place to the other.
        if tombstones.count(client, crawl) == trimmed:
            break
    return found


class _Auditing:
    """One audit: what it reads, in an order in which a URL that moves meanwhile is still met."""

    def __init__(self, client: redis.Redis, crawl: str, inventory: Inventory, file: BinaryIO | None) -> None:
        self._client = client
        self._crawl = crawl
        self._inventory = inventory
        self._file = file
        self._status = results.status(client, crawl)
        stored = Frontier(client, crawl).options()
        self._options = stored[0] if stored else records.CrawlOptions()
        self._last = "-"
        self._counts: dict[str, int] = {}
        #: What stands where a fingerprint belongs and is none, and what that is in words.
        self._nameless: dict[str, str] = {}
        self._faults: list[Fault] = []
        self._cancelled = 0

    def run(self) -> Audit:
        """Read everything, compare, and look once more at what seems wrong."""
        inventory, status = self._inventory, self._status
        buckets = self._options.seen_buckets
        seen = results.seen_fingerprints(self._client, self._crawl, buckets)
        inventory.admit(one for one in seen if self._is_named(one, "a member of the seen set"))
        inventory.bury(
            (one, stone.generation, stone.row)
            for one, stone in tombstones.of_crawl(self._client, self._crawl, buckets)
            if self._is_named(one, "the field of a tombstone")
        )
        if self._file is not None:
            self._check_file(self._file)
            inventory.keep(self._read_file(self._file))
        # A URL is admitted, then it is pending, then it has a record; one to be tried again is marked, then pending.
        for _ in range(LOOKS):
            inventory.look(self._marked(), results.unfinished_fingerprints(self._client, self._crawl))
            self._read_stream()
            unmet = inventory.forget_met() + sum(1 for _ in self._astray())
            if not unmet or status.state != names.RUNNING:
                break
        damaged: list[str] = []
        inventory.record(self._read_records(damaged))
        inventory.damage(damaged)
        self._read_stream()
        self._compare()
        return Audit(
            crawl=self._crawl,
            records=inventory.records(),
            missing=self._counts.get("missing", 0),
            duplicate=self._counts.get("duplicate", 0),
            # What a budget or a trap kept out depends on the order of discovery, as what the page limit kept out.
            capped=sum(status.refused.get(word, 0) for word in ("capped", "budget", "trap")),
            digest=None if self._is_partial() else _digest_of_rows(self._in_order()),
            pending=inventory.waiting(),
            state=status.state,
            cancelled=self._cancelled,
            strays=self._counts.get("stray", 0),
            generations=status.generation,
            retried=inventory.tried_again(),
            faults=self._named(),
            trimmed=inventory.buried(),
            absent=self._counts.get("absent", 0),
            damaged=self._counts.get("damaged", 0),
        )

    def _is_named(self, text: str, what: str) -> bool:
        """Whether it is a fingerprint; what is none is damage, and cannot be compared."""
        try:
            is_one = str(int(text)) == text and -(2**63) <= int(text) < 2**63
        except ValueError:
            is_one = False
        if not is_one:
            self._nameless[repr(text)[1:-1]] = f"{what} is no fingerprint of a URL"
        return is_one

    def _marked(self) -> Iterator[str]:
        for key, _ in self._client.hscan_iter(keys.retried(self._crawl), count=SLICE):
            fingerprint = key.decode("utf-8", "backslashreplace")
            if self._is_named(fingerprint, "the field of a mark to try again"):
                yield fingerprint

    def _read_stream(self) -> None:
        """Read what has been added to the results stream since the last look."""

        def read() -> Iterator[tuple[str, int]]:
            for entry in results.listed(self._client, self._crawl, self._last):
                self._last = entry.identifier
                if self._is_named(entry.fingerprint, "an entry of the results stream"):
                    yield entry.fingerprint, entry.generation

        self._inventory.list_(read())

    def _read_records(self, damaged: list[str]) -> Iterator[tuple[str, int, bool, str]]:
        """Yield fingerprint, generation, whether that is its own, and URL; list those that cannot be read."""
        decoder = msgspec.json.Decoder(_Placed)
        for key, line in self._client.hscan_iter(keys.records(self._crawl), count=SLICE):
            fingerprint = key.decode("utf-8", "backslashreplace")
            if not self._is_named(fingerprint, "the field of a record"):
                continue
            try:
                found = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                damaged.append(fingerprint)
                continue
            yield fingerprint, found.generation, str(urls.fingerprint(found.url)) == fingerprint, found.url

    def _check_file(self, file: BinaryIO) -> None:
        """Raise UsageError when the file has nothing to do with this crawl, instead of naming all that it lacks."""
        if any(self._inventory.is_admitted(int(one)) for one, *_ in self._read_file(file)):
            return
        # What an export left empty is right where nothing was trimmed.
        if self._inventory.buried() or file.seek(0, os.SEEK_END):
            where = tombstones.place(self._client, self._crawl)
            remedy = (
                f"name {where}, into which they were trimmed"
                if where
                else "leave --with out: none was trimmed"
            )
            message = f"--with {file.name}: no line of it is a record of '{self._crawl}'; {remedy}"
            raise UsageError(message)

    def _read_file(self, file: BinaryIO) -> Iterator[tuple[str, bytes, bytes, str]]:
        """Yield of each line its fingerprint, its row of the digest as a tombstone has it and whole, and its URL."""
        decoder = msgspec.json.Decoder(Told)
        file.seek(0)
        for line in file:
            try:
                told = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            row = row_of(told)
            yield str(urls.fingerprint(told.url)), tombstones.row_hash(row), row, told.url

    def _is_partial(self) -> bool:
        """Whether there are records of which only a tombstone is at hand, or that cannot be read."""
        if self._counts.get("damaged", 0):
            return True
        return self._inventory.buried() > 0 and (self._file is None or self._counts.get("absent", 0) > 0)

    def _in_order(self) -> Iterator[bytes]:
        """Yield the records' rows of the digest, sorted by URL."""
        decoder = msgspec.json.Decoder(Told)
        for part in self._inventory.by_url():
            there = [one for one, row in part if row is None]
            lines = iter(self._ask(keys.records(self._crawl), there) if there else ())
            for _, row in part:
                line = row if row is not None else next(lines)
                if line is not None:
                    yield line if row is not None else row_of(decoder.decode(line))

    def _compare(self) -> None:
        """Count and keep what is wrong; what may have moved while it was read is looked at once more."""
        found = self._inventory
        for fingerprint in self._neither_met_nor_cancelled():
            kept = found.url_of(fingerprint) is not None
            what = (
                "the results stream does not list its record" if kept else "it was admitted and has no record"
            )
            self._fault("missing", fingerprint, what)
        for fingerprint in self._astray():
            self._fault("missing", fingerprint, "it was to be tried again and waits nowhere")
        for fingerprint in _still(found.without_record(), self._have_no_record):
            self._fault("missing", fingerprint, "the results stream lists it, and its record is gone")
        for fingerprint in _still(found.unlisted(), self._same_generation):
            self._fault("missing", fingerprint, "the results stream does not list its newest record")
        for fingerprint, times in found.twice():
            self._fault("duplicate", fingerprint, f"the results stream lists it {times + 1} times", times)
        for fingerprint, times in found.listed_though_buried():
            what = "its record was trimmed, and the results stream still lists it"
            self._fault("duplicate", fingerprint, what, times)
        for fingerprint in _still(found.beyond(), self._same_generation):
            self._fault("duplicate", fingerprint, "the results stream lists it once more than it was tried")
        for fingerprint in _still(found.strangers(), self._not_admitted):
            self._fault("stray", fingerprint, "it has a record and was never admitted")
        for fingerprint in found.damaged():
            self._fault("damaged", fingerprint, "what Redis keeps as its record cannot be read")
        for text, what in self._nameless.items():
            self._fault("damaged", text, what)
        for fingerprint in found.misplaced():
            self._fault("stray", fingerprint, "its record is kept under the fingerprint of another URL")
        for fingerprint in found.absent() if self._file is not None else ():
            self._fault(
                "absent", fingerprint, "its record was trimmed, and the file does not hold it as it was"
            )

    def _neither_met_nor_cancelled(self) -> Iterator[int]:
        """Yield what has no record; which URLs a cancel took away nobody knows, only how many."""
        status = results.status(self._client, self._crawl)
        taken = max(0, status.cancelled - status.retrying)
        unmet = self._inventory.unmet()
        if not taken:
            return unmet
        self._cancelled = sum(1 for _ in itertools.islice(unmet, taken))
        return unmet

    def _fault(self, kind: str, fingerprint: int | str, what: str, times: int = 1) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + times
        if sum(fault.kind == kind for fault in self._faults) < NAMED:
            url = self._inventory.url_of(fingerprint) if isinstance(fingerprint, int) else None
            self._faults.append(Fault(kind, url, str(fingerprint), what))

    def _astray(self) -> Iterator[int]:
        """Yield what is still marked to be tried again, and was never met where URLs wait."""
        if self._status.state not in (names.RUNNING, names.PAUSED, names.FINISHED):
            # Whoever ended the crawl took away what waited; the older record is the last one.
            return iter(())
        return _still(self._inventory.astray(), self._marked_still)

    def _marked_still(self, part: list[int]) -> list[bool]:
        return [mark is not None for mark in self._ask(keys.retried(self._crawl), part)]

    def _have_no_record(self, part: list[int]) -> list[bool]:
        return [line is None for line in self._ask(keys.records(self._crawl), part)]

    def _same_generation(self, part: list[int]) -> list[bool]:
        """Whether what the results stream lists last is not what the record is."""
        self._read_stream()
        decoder = msgspec.json.Decoder(_Placed)
        generations: list[int | None] = []
        for line in self._ask(keys.records(self._crawl), part):
            try:
                generations.append(None if line is None else decoder.decode(line).generation)
            except (msgspec.DecodeError, UnicodeDecodeError):
                generations.append(None)
        return [
            generation is not None and self._inventory.newest(one) != generation
            for one, generation in zip(part, generations, strict=True)
        ]

    def _not_admitted(self, part: list[int]) -> list[bool]:
        with self._client.pipeline(transaction=False) as pipe:
            for one in part:
                pipe.sismember(keys.seen(self._crawl, one % self._options.seen_buckets), str(one))
            return [not found for found in pipe.execute()]

    def _ask(self, key: str, part: list[int]) -> list[bytes | None]:
        found: list[bytes | None] = self._client.hmget(key, [str(one) for one in part])
        return found

    def _named(self) -> list[Fault]:
        """Return the faults that are named, with the URL where anything that is kept tells it."""
        unknown = {fault.fingerprint for fault in self._faults if fault.url is None} - set(self._nameless)
        known = _names(self._client, self._crawl, self._options.seeds, unknown) if unknown else {}
        return [
            fault
            if fault.url is not None
            else msgspec.structs.replace(fault, url=known.get(fault.fingerprint))
            for fault in self._faults
        ]


def _still(found: Iterator[int], wrong: Callable[[list[int]], list[bool]]) -> Iterator[int]:
    """Yield of what was found what is still wrong when it is looked at once more."""
    # Read to its end before: looking may change what it is read from.
    for part in list(_parts(found)):
        for fingerprint, is_wrong in zip(part, wrong(part), strict=True):
            if is_wrong:
                yield fingerprint


def _parts(found: Iterator[int]) -> Iterator[list[int]]:
    part: list[int] = []
    for one in found:
        part.append(one)
        if len(part) == SLICE:
            yield part
            part = []
    if part:
        yield part


def _names(client: redis.Redis, crawl: str, seeds: Iterable[str], unknown: set[str]) -> dict[str, str]:
    """Return the URLs of fingerprints that have no record: of seeds, of requests, of what records lead to."""
    known: dict[str, str] = {}
    for url in _mentioned(client, crawl, seeds):
        fingerprint = str(urls.fingerprint(url))
        if fingerprint in unknown:
            known[fingerprint] = url
            if len(known) == len(unknown):
                break
    return known


def _mentioned(client: redis.Redis, crawl: str, seeds: Iterable[str]) -> Iterator[str]:
    yield from seeds
    start = "-"
    while rows := client.xrange(keys.attempts(crawl), min=start, count=SLICE):
        for identifier, fields in rows:
            # Whoever must not stop at a damaged batch: it names no URL.
            with contextlib.suppress(DamagedCrawlError):
                yield from [request.url for request in results.requests(crawl, identifier, fields)[0]]
        start = f"({rows[-1][0].decode()}"
    decoder = msgspec.json.Decoder(_Leads)
    for _, line in results.lines(client, crawl):
        try:
            record = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        yield from record.links
        yield from (url for url in (record.redirect_to, record.parent) if url is not None)
