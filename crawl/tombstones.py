"""Tombstones: what stays in Redis of a record that was trimmed, in 25 bytes.

That is its outcome, a hash over what the digest is made of, the beginning of its body's hash, and in which generation
it came to be. They lie in as many
small hashes as the seen set has buckets, which Redis stores as plain arrays.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

from crawl import keys, records, urls
from crawl.errors import DamagedCrawlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

#: Bytes of the hash over what the digest is made of (`crawl.audit.row_of`), and of the body's SHA-256.
ROW_BYTES = 16
CONTENT_BYTES = 6
#: Bytes of the number of the generation, which stays at the largest that they hold.
GENERATION_BYTES = 2
#: Bytes of one tombstone.
SIZE = 1 + ROW_BYTES + CONTENT_BYTES + GENERATION_BYTES
_LETTERS = {outcome: outcome[0].encode() for outcome in records.OUTCOMES}
_OUTCOMES = {letter: outcome for outcome, letter in _LETTERS.items()}
#: Buckets read per round trip.
_BUCKETS_PER_CALL = 2000


class Tombstone(NamedTuple):
    """What is known of a trimmed record; `content` is all zeros where there was no body."""

    outcome: str
    row: bytes
    content: bytes
    generation: int = 0


def row_hash(row: bytes) -> bytes:
    """Return the hash of what a record contributes to the digest, as a tombstone has it."""
    return hashlib.sha256(row).digest()[:ROW_BYTES]


def encode(outcome: str, row: bytes, sha256: str | None, generation: int = 0) -> bytes:
    """Return a tombstone as it is stored; `row` is its hash, `sha256` the record's."""
    content = bytes.fromhex(sha256)[:CONTENT_BYTES] if sha256 else bytes(CONTENT_BYTES)
    most = 256**GENERATION_BYTES - 1
    number: bytes = min(generation, most).to_bytes(GENERATION_BYTES, "big")
    return _LETTERS[outcome] + row[:ROW_BYTES] + content + number


def decode(stored: bytes) -> Tombstone:
    """Return what a stored tombstone says."""
    row, content = stored[1 : 1 + ROW_BYTES], stored[1 + ROW_BYTES : -GENERATION_BYTES]
    return Tombstone(_OUTCOMES[stored[:1]], row, content, int.from_bytes(stored[-GENERATION_BYTES:], "big"))


def of_crawl(client: redis.Redis, crawl: str, buckets: int) -> Iterator[tuple[str, Tombstone]]:
    """Yield fingerprint and tombstone of every trimmed record."""
    if not count(client, crawl):
        return
    for first in range(0, buckets, _BUCKETS_PER_CALL):
        with client.pipeline(transaction=False) as pipe:
            for bucket in range(first, min(first + _BUCKETS_PER_CALL, buckets)):
                pipe.hgetall(keys.tombstones(crawl, bucket))
            for found in pipe.execute():
                for fingerprint, stored in found.items():
                    yield fingerprint.decode("utf-8", "backslashreplace"), _decoded(crawl, stored)


def of_url(client: redis.Redis, crawl: str, url: str, buckets: int) -> Tombstone | None:
    """Return the tombstone of a canonical URL's record, or None when it was not trimmed."""
    fingerprint = urls.fingerprint(url)
    stored = client.hget(keys.tombstones(crawl, fingerprint % buckets), str(fingerprint))
    return None if stored is None else _decoded(crawl, stored)


def _decoded(crawl: str, stored: bytes) -> Tombstone:
    try:
        return decode(stored)
    except KeyError as error:
        raise DamagedCrawlError.of(crawl, "a tombstone of a trimmed record", error) from None


def count(client: redis.Redis, crawl: str) -> int:
    """Return how many records of a crawl were trimmed."""
    stored = client.hget(keys.counts(crawl), "trimmed")
    return 0 if stored is None else records.number_of(crawl, "its count 'trimmed'", stored)


def place(client: redis.Redis, crawl: str) -> str:
    """Return the file into which a crawl's records were trimmed, empty when none were."""
    return (client.hget(keys.crawl(crawl), "trimmed_to") or b"").decode()


def is_place(where: str, name: str | os.PathLike[str]) -> bool:
    """Whether a name, however it is spelled, is that of the file into which records were trimmed."""
    return bool(where) and os.path.realpath(where) == os.path.realpath(name)


def told(trimmed: int, where: str) -> str:
    """Return the sentence that every reader of a trimmed crawl is given."""
    return f"{trimmed} of its records were trimmed: they are no more in Redis, but in {where}"
