"""The lease cycle as pump and reaper see it: batches handed out, taken, renewed, and taken back when overdue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crawl import keys, records, scripts
from crawl.batches import Batch, Leased, Started, denial
from crawl.frontier.verbs import Verbs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from crawl.batches import Renewal
    from crawl.records import CrawlOptions

#: Seconds of work one message should carry; a slot then looks up about once a second.
BATCH_BUDGET_S = 1.0
#: Queues one `lease` call looks at, at most.
MAX_LOOKS = 64
#: Connections to a host that fail one after the other before its waiting URLs fail without being asked.
HOST_FAIL_LIMIT = 10
#: Refusals (429, 503) of a host in a row, each after the hold of the one before, until it is given up likewise.
HOST_REFUSAL_LIMIT = 10
#: Bytes of body one page is taken to bring before any has come.
FIRST_PAGE_BYTES = 64 * 1024
#: The same for what a page takes beside its body: its record, and the links that are new.
FIRST_EXTRA_BYTES = 16 * 1024
#: Seconds one parse may take before its lease ends whatever happens.
PARSE_NEVER_S = 300.0


class Leases(Verbs):
    """The verbs that hand batches out and take them back."""

    def lease(
        self,
        options: CrawlOptions,
        *,
        window: int,
        slots: int,
        most_body_bytes: int | None = None,
        room_bytes: int | None = None,
    ) -> Leased:
        """Take batches whose host is due, so that at most `window` are in flight.

        With `most_body_bytes` also only so many URLs that the bodies between fetch and parse stay below it, and with
        `room_bytes` that what comes of them fits, as far as can be foretold from the pages before.
        """
        self._see(options)
        bounds = {
            "most_body_bytes": most_body_bytes,
            "room_bytes": room_bytes,
            "first_extra": FIRST_EXTRA_BYTES,
        }
        bounds = {name: value for name, value in bounds.items() if value is not None}
        state, batches, next_ms, now_ms, leased, ended = self._run(
            "lease",
            window=window,
            slots=slots,
            batch=options.batch,
            budget_ms=int(BATCH_BUDGET_S * 1000),
            lease_ms=int(options.lease_s * 1000),
            host_concurrency=options.host_concurrency,
            delay_ms=int(options.delay_s * 1000),
            obey=options.robots == "obey",
            fail_limit=HOST_FAIL_LIMIT,
            refusal_limit=HOST_REFUSAL_LIMIT,
            max_looks=MAX_LOOKS,
            max_losses=options.max_losses,
            adaptive=options.adaptive_delay,
            channel=keys.notices(),
            pump=keys.pump("*"),
            first_page_bytes=FIRST_PAGE_BYTES,
            **bounds,
        )
        return Leased(
            state=state.decode(),
            batches=[_batch(row) for row in batches],
            next_ms=None if next_ms < 0 else next_ms,
            now_ms=now_ms,
            leased=leased,
            ended=bool(ended),
        )

    def start(
        self, lease: str, *, nonce: str, worker: str, options: CrawlOptions, process: str = ""
    ) -> Started | str:
        """Make a sent batch this worker's own; return why when it is not to be had.

        That is `taken` (a second delivery), `busy` (its host was given to others while the message waited), or the
        crawl's state.
        """
        self._see(options)
        answer = self._run(
            "start",
            lease=lease,
            nonce=nonce,
            worker=worker,
            process=process,
            lease_ms=int(options.lease_s * 1000),
            total_ms=int(options.total_timeout_s * 1000),
        )
        if answer[0] != b"ok":
            return str((answer[1] if len(answer) > 1 else answer[0]).decode())
        _, now_ms, entries, kind, origin, doom, expected, delay, version, crawl_id, revision, host, cap = (
            answer
        )
        lines = entries.decode().split("\n")
        return Started(
            lease=lease,
            nonce=nonce,
            now_ms=now_ms,
            requests=[records.decode_entry(line, kind.decode()) for line in lines],
            entries=lines,
            kind=kind.decode(),
            origin=origin.decode(),
            host=host.decode(),
            doom=doom.decode() or None,
            expected_ms=float(expected or 0),
            delay_ms=float(delay or 0),
            robots_version=version.decode(),
            crawl_id=crawl_id.decode(),
            revision=revision.decode(),
            cap=int(cap),
        )

    def isolate(self, lease: str, nonce: str, never_s: float = PARSE_NEVER_S) -> bool:
        """Note that a suspect is all that this process does from now on, for `never_s` seconds at most.

        False when the lease is not held under that nonce any more.
        """
        return bool(self._run("isolate", lease=lease, nonce=nonce, never_ms=int(never_s * 1000)))

    def bury(self, held: Sequence[tuple[str, str]], *, blameless: bool = False) -> int:
        """Have leases (key, process) reclaimed at once, whose process has ended; return how many there were.

        `blameless` says that none of their URLs had to do with that end.
        """
        return int(self._run("bury", held=held, blameless=blameless))

    def reap(
        self, options: CrawlOptions, limit: int = 100, *, buried: bool = False, blameless: bool = False
    ) -> tuple[list[Batch], list[Batch], int]:
        """Return overdue batches whose fetch, and whose parse, is to be sent again, and how many URLs went back.

        `buried` looks only after those that `bury` was told of. `blameless` says that Redis was away, so that a lease
        may have run out although its worker lives: nothing is held against its URLs.
        """
        self._see(options)
        fetch, parse, reclaimed = self._run(
            "reap",
            lease_ms=int(options.lease_s * 1000),
            max_losses=options.max_losses,
            limit=limit,
            buried=buried,
            blameless=blameless,
            denial=denial("every worker that asked for it ended"),
        )
        return [_batch(row) for row in fetch], [_batch(row) for row in parse], reclaimed


def renew(client: redis.Redis, renewals: Sequence[Renewal]) -> list[str]:
    """Renew leases of any crawl in one call; return each one's crawl state, or `gone`."""
    names_ = [
        key
        for one in renewals
        for key in (
            keys.lease(one.crawl, one.lease),
            keys.leases(one.crawl),
            keys.host_out(one.host),
            keys.crawl(one.crawl),
        )
    ]
    args = [part for one in renewals for part in (one.nonce, str(int(one.lease_s * 1000)))]
    return [answer.decode() for answer in scripts.run(client, "renew", names_, args)]


def _batch(row: list[Any]) -> Batch:
    lease, kind, count, url = row
    return Batch(lease=lease.decode(), kind=kind.decode(), count=int(count), url=url.decode())
