"""The judges of what hostile servers and fatal pages did to a worker: numbers in, kept or not and a sentence out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.guarantees.finding import Finding, judged, unended, unshown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.guarantees.stage import Crawled

#: The guarantee of each thing that never ends, by the name the site has for it.
DEADLINES = {
    "drip-header": "deadline-header",
    "drip-body": "deadline-body",
    "hang": "deadline-silence",
    "connect": "deadline-connect",
    "handshake": "deadline-tls",
}
DNS = "deadline-dns"
CAP_RAW, CAP_UNPACKED = "cap-raw", "cap-unpacked"
CANCEL, CRASH, HOLD = "cancel", "crash", "hold"

#: What a request may take beyond its total time: the system's and a busy machine's share, seconds.
MARGIN_S = 1.0
#: The same where the end is seen by the record that comes of it, which a busy machine also writes late.
DNS_MARGIN_S = 2.0
#: What a client may take of a body beyond its cap before it goes away: buffers of both systems, bytes.
BUFFERS_BYTES = 16 << 20
#: What a worker may grow by over bodies that unpack to many times as much, MB.
UNPACKED_MB = 64.0
#: Seconds from a crawl's being cancelled until no request is under way and its producer has ended.
CANCEL_S = 5.0


@dataclass(frozen=True)
class Endless:
    """One request to a server that never finishes: what the record says, and how long the server saw it open.

    `took_s` is None where the client had not given up when the crawl was over, or never asked.
    """

    name: str
    outcome: str | None
    reason: str | None
    took_s: float | None


@dataclass(frozen=True)
class Body:
    """One body that is too long: what its record says and should say, and the bytes taken (None: never asked)."""

    path: str
    outcome: str | None
    reason: str | None
    expected: tuple[str, str | None]
    taken: int | None


@dataclass(frozen=True)
class Cancelled:
    """What became of a crawl that was cancelled with `open` requests under way.

    `idle_s` and `ended_s`: seconds until none was, and until its producer had ended; None: not in time. `later` counts
    requests that came after that. `code` and `said` are the verb's own.
    """

    open: int
    code: int | None
    said: str
    idle_s: float | None
    ended_s: float | None
    later: int
    state: str


def of_endless(pool: str, total_s: float, one: Endless, crawled: Crawled) -> Finding:
    """Judge a request that only a deadline could end, of `total_s` seconds."""
    faults = [] if crawled.code == 0 else [unended(crawled)]
    faults += _late(one, total_s + MARGIN_S)
    facts = f"ended after {one.took_s or 0:.2f} s, allowed {total_s:g} + {MARGIN_S:g} s"
    return judged(pool, DEADLINES[one.name], faults, facts, _seconds(one.took_s))


def of_dns(
    pool: str,
    total_s: float,
    asked: Sequence[Endless],
    other: str | None,
    drained: tuple[int | None, float],
    crawled: Crawled,
) -> Finding:
    """Judge requests whose names are never resolved; `other` is the outcome of one whose name is.

    `drained` says how the worker then ended on SIGTERM: exit code (None: it had to be killed) and seconds.
    """
    faults = [] if crawled.code == 0 else [unended(crawled)]
    for one in asked:
        faults += _late(one, total_s + DNS_MARGIN_S)
    if not asked:
        faults.append("nothing was asked for")
    if other != "ok":
        faults.append(f"a page whose name is resolved at once is on record as {other or 'nothing'}")
    code, took_s = drained
    if code != 0:
        faults.append(
            f"the worker had not ended {took_s:.0f} s after SIGTERM" if code is None else f"exit {code}"
        )
    longest = max((one.took_s for one in asked if one.took_s is not None), default=None)
    facts = (
        f"longest of {len(asked)} requests whose names are never resolved {longest or 0:.2f} s, "
        f"allowed {total_s:g} + {DNS_MARGIN_S:g} s; a resolvable one beside them {other}"
    )
    return judged(pool, DNS, faults, facts, _seconds(longest))


def _late(one: Endless, allowed_s: float) -> list[str]:
    faults = []
    if one.took_s is None:
        faults.append(f"{one.name} was not ended")
    elif one.took_s > allowed_s:
        faults.append(f"{one.name} took {one.took_s:.2f} s")
    if one.outcome is None:
        faults.append(f"{one.name} has no record")
    elif (one.outcome, one.reason) != ("failed", "timeout"):
        faults.append(f"{one.name} is on record as {one.outcome}, reason {one.reason}")
    return faults


def _seconds(took_s: float | None) -> str:
    return "" if took_s is None else f"{took_s:.1f} s"


def of_raw(pool: str, cap: int, bodies: Sequence[Body], crawled: Crawled) -> Finding:
    """Judge bodies that are longer than `cap` bytes as they are sent."""
    faults = _recorded(bodies, crawled)
    faults += [
        f"{one.path}: {one.taken / 1e6:.0f} MB were taken"
        for one in bodies
        if one.taken is not None and one.taken > cap + BUFFERS_BYTES
    ]
    most = max((one.taken or 0 for one in bodies), default=0) / 1e6
    facts = f"at most {most:.1f} MB sent of {len(bodies)} bodies without end, cap {cap / 1e6:.1f} MB"
    return judged(pool, CAP_RAW, faults, facts, f"{most:.1f} MB")


def of_unpacked(
    pool: str, bomb: int, bodies: Sequence[Body], grown_mb: float | None, crawled: Crawled
) -> Finding:
    """Judge small bodies that unpack to `bomb` bytes; the largest worker process grew by `grown_mb` (None: unknown)."""
    faults = _recorded(bodies, crawled)
    if grown_mb is not None and grown_mb > UNPACKED_MB:
        faults.append("it was unpacked")
    grown = "unknown" if grown_mb is None else f"{grown_mb:.0f} MB"
    facts = f"{len(bodies)} bodies that unpack to {bomb / 1e6:.0f} MB, the worker grew by {grown}"
    return judged(pool, CAP_UNPACKED, faults, facts, f"+{grown}")


def _recorded(bodies: Sequence[Body], crawled: Crawled) -> list[str]:
    faults = [] if crawled.code in {0, 1} else [unended(crawled)]
    for one in bodies:
        if one.taken is None:
            faults.append(f"{one.path} was never asked for")
        if (one.outcome, one.reason) != one.expected:
            faults.append(f"{one.path} is on record as {one.outcome}, reason {one.reason}")
    return faults if bodies else [*faults, "nothing was asked for"]


def of_cancel(pool: str, found: Cancelled | None, crawled: Crawled) -> Finding:
    """Judge a crawl that was cancelled while its requests hung; None where that never came."""
    if found is None:
        return unshown(pool, CANCEL, "busy when the crawl was to be cancelled", crawled)
    faults = [] if found.code == 0 else [f"`poolcrawl cancel` ended with {found.code}, saying: {found.said}"]
    for what, took_s in (("requests were under way", found.idle_s), ("its producer ran", found.ended_s)):
        if took_s is None or took_s > CANCEL_S:
            faults.append(f"{what} still after {CANCEL_S:g} s")
    if found.later:
        faults.append(f"{found.later} requests came after it")
    if found.state != "cancelled":
        faults.append(f"its state is {found.state}")
    if crawled.duplicate:
        faults.append("pages have two records")
    took = "?" if found.idle_s is None else f"{found.idle_s:.1f}"
    ended = "?" if found.ended_s is None else f"{found.ended_s:.1f}"
    facts = (
        f"cancelled with {found.open} requests hanging: ended after {took} s, the producer after {ended} s"
    )
    return judged(pool, CANCEL, faults, facts, _seconds(found.idle_s))


def of_fatal(
    pool: str,
    guarantee: str,
    record: tuple[str, str | None] | None,
    losses_allowed: int,
    crawled: Crawled,
    digests: tuple[str, str],
) -> Finding:
    """Judge a crawl with one page that ends or stops whatever parses it, beside the ordinary ones.

    `record` is that page's outcome and reason; `digests` are those of the other pages' records, undisturbed and now.
    """
    faults = [] if crawled.code == 0 else [unended(crawled)]
    if record is None:
        faults.append("the page has no record")
    elif record != ("failed", "lost"):
        faults.append(f"the page is on record as {record[0]}, reason {record[1]}")
    if digests[0] != digests[1]:
        faults.append("the other pages' records are not those of the undisturbed crawl")
    if crawled.missing or crawled.duplicate:
        faults.append(f"{crawled.missing} pages without a record, {crawled.duplicate} with two")
    if crawled.losses > losses_allowed:
        faults.append(f"{crawled.losses - losses_allowed} losses were charged to other pages")
    how = "without a record" if record is None else "/".join(filter(None, record))
    facts = f"the page ended {how} after {crawled.losses} of {losses_allowed} losses, {crawled.seconds:.0f} s in all"
    return judged(pool, guarantee, faults, facts, f"{crawled.seconds:.0f} s")
