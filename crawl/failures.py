"""What failed in a crawl: read record by record, grouped, and which of it may succeed when it is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from crawl import keys, records, results, tombstones, urls
from crawl.frontier import Frontier

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

#: Failures shown of each group, and hosts.
SAMPLES = 3
#: Hosts told apart in each group; with more of them, no single one is to blame.
HOSTS = 10_000

#: What is tried again unless a reason is named: failures that may pass by themselves. `http` only with one of
#: `records.TRANSIENT_STATUSES`, `robots` only where robots.txt could not be had.
AGAIN = ("dns", "connect", "timeout", "reset", "lost", "http", "robots")

#: How the detail of a URL begins whose robots.txt could not be had (`batches.denial`).
_NOT_HAD = "robots.txt could not be had"
#: Reasons for which the host is worth naming.
_OF_HOSTS = frozenset({"dns", "connect", "tls", "timeout", "reset", "protocol", "address", "robots", "http"})
#: As a record of these outcomes is stored; a quick look before it is decoded.
_MARKS = (b'"outcome":"failed"', b'"outcome":"skipped"')


class Failure(msgspec.Struct):
    """What is read of the record of a URL that has no page."""

    url: str
    outcome: str
    reason: str | None = None
    status: int | None = None
    detail: str | None = None
    attempts: int = 0
    depth: int = 0
    via: str = "seed"
    parent: str | None = None
    generation: int = 0

    @property
    def may_pass(self) -> bool:
        """Whether it is tried again when no reason is named."""
        if self.reason == "http":
            return self.status in records.TRANSIENT_STATUSES
        if self.reason == "robots":
            return (self.detail or "").startswith(_NOT_HAD)
        return self.reason in AGAIN

    @property
    def failed(self) -> bool:
        """Whether it counts as a failure: what was skipped on purpose does not, unless another try may change that."""
        return self.outcome == "failed" or self.may_pass


class Group(msgspec.Struct):
    """Failures of one reason and status. `hosts` are those with the most, each with its count, of `of_hosts`."""

    reason: str
    status: int | None
    count: int = 0
    #: How many of them `retry` tries again when no reason is named.
    may_pass: int = 0
    of_hosts: int = 0
    hosts: list[tuple[str, int]] = []
    samples: list[Failure] = []


class Listing(msgspec.Struct):
    """All failures of a crawl; `waiting` URLs have one and wait to be tried again.

    Of `trimmed` ones beside them only the file tells that their records are in.
    """

    crawl: str
    state: str
    failed: int
    may_pass: int
    waiting: int
    groups: list[Group]
    trimmed: int = 0
    trimmed_to: str = ""


_decoder = msgspec.json.Decoder(Failure)


def without_page(client: redis.Redis, crawl: str) -> Iterator[tuple[Failure, bytes]]:
    """Yield every record that failed or was skipped, and as it is stored, in order of completion."""
    for _, line in results.lines(client, crawl):
        if any(mark in line for mark in _MARKS):
            failure = _decoder.decode(line)
            if failure.outcome in ("failed", "skipped"):
                yield failure, line


def of_record(line: bytes) -> Failure:
    """Return what is told of a stored record, whatever its outcome."""
    return _decoder.decode(line)


def failures(client: redis.Redis, crawl: str, reason: str | None = None) -> Iterator[Failure]:
    """Yield the failures of a crawl, of one reason if it is named (what was skipped for that reason, too)."""
    for failure, _ in without_page(client, crawl):
        if failure.reason == reason or (reason is None and failure.failed):
            yield failure


def trimmed(client: redis.Redis, crawl: str, buckets: int) -> int:
    """Return how many URLs have failed whose record was trimmed; what was skipped on purpose is not among them."""
    stones = tombstones.of_crawl(client, crawl, buckets)
    return sum(stone.outcome == "failed" for _, stone in stones)


def listing(client: redis.Redis, crawl: str) -> Listing:
    """Return the failures of a crawl by reason and status, the largest group first. Raises UnknownCrawlError."""
    status = results.status(client, crawl)
    stored = Frontier(client, crawl).options()
    groups: dict[tuple[str, int | None], Group] = {}
    hosts: dict[tuple[str, int | None], dict[str, int]] = {}
    for failure in failures(client, crawl):
        place = failure.reason or "", failure.status
        group = groups.get(place)
        if group is None:
            group = groups[place] = Group(*place, samples=[])
            hosts[place] = {}
        group.count += 1
        group.may_pass += failure.may_pass
        if len(group.samples) < SAMPLES:
            group.samples.append(failure)
        if failure.reason in _OF_HOSTS:
            of_group, host = hosts[place], urls.host_of(failure.url)
            if host in of_group or len(of_group) < HOSTS:
                of_group[host] = of_group.get(host, 0) + 1
    for place, group in groups.items():
        most = sorted(hosts[place].items(), key=lambda each: (-each[1], each[0]))
        group.of_hosts, group.hosts = len(most), most[:SAMPLES]
    return Listing(
        crawl=crawl,
        state=status.state,
        failed=sum(group.count for group in groups.values()),
        may_pass=sum(group.may_pass for group in groups.values()),
        waiting=int(client.hlen(keys.retried(crawl))),
        groups=sorted(groups.values(), key=lambda group: (-group.count, group.reason, group.status or 0)),
        trimmed=trimmed(client, crawl, stored[0].seen_buckets) if stored and status.trimmed else 0,
        trimmed_to=status.trimmed_to,
    )
