"""The frontier: what waits, what is leased, what was seen, and when each host may be asked next.

Every change is one Lua verb (`lua/`), so it happens wholly or not at all. The frontier is the truth; messages in the
broker are hints. Times are Redis milliseconds. A call that is repeated after a lost reply does no harm: each verb's
header says what it then returns.
"""

from __future__ import annotations

import hashlib
import random
import secrets
from typing import TYPE_CHECKING, Any

import msgspec
import redis

from crawl import keys, names, records, scripts, sitemaps, tombstones, traps, urls
from crawl.batches import Batch, Leased, Loaded, Look, Started, denial
from crawl.errors import StoppedError, UsageError
from crawl.links import level_of
from crawl.scope import scope_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from crawl.batches import Again, Refusal, Renewal, Report, Result, RobotsAnswer
    from crawl.links import Links
    from crawl.records import CrawlOptions, FetchRequest

#: Seconds of work one message should carry; a slot then looks up about once a second.
BATCH_BUDGET_S = 1.0
#: Queues one `lease` call looks at, at most.
MAX_LOOKS = 64
#: Connections to a host that fail one after the other before its waiting URLs fail without being asked.
HOST_FAIL_LIMIT = 10
#: Refusals (429, 503) of a host in a row, each after the hold of the one before, until it is given up likewise.
HOST_REFUSAL_LIMIT = 10
#: Longest first hold after a refusal that asks for none; doubled with each further one in a row.
HOLD_FIRST_S = 1.0
#: Batches whose attempts are kept per crawl; older ones are dropped.
ATTEMPTS_KEPT = 200_000
#: Entries of the scope read per call; the lot may be a hundred thousand.
SCOPE_SEEDS_PER_CALL = 10_000
#: URLs marked as maybe nearer than they were found, at most; only redirects and sitemaps mark.
NEARER_KEPT = 100_000
#: Hosts that forget a crawl, and queues or leases of a cancelled one that are taken away, per call.
HOSTS_PER_CALL = 200
CLEARED_PER_CALL = 200
#: URLs admitted again per call.
RETRIED_PER_CALL = 500
#: Bytes of body one page is taken to bring before any has come.
FIRST_PAGE_BYTES = 64 * 1024
#: The same for what a page takes beside its body: its record, and the links that are new.
FIRST_EXTRA_BYTES = 16 * 1024
#: Seconds one parse may take before its lease ends whatever happens.
PARSE_NEVER_S = 300.0

_COUNT = (
    "if redis.call('EXISTS', KEYS[1]) == 1 then "
    "return redis.call('HINCRBY', KEYS[2], 'sitemaps listed', ARGV[1]) end"
)

#: Arguments of a verb; JSON inside goes as text, since Redis' MessagePack knows no binary type.
_pack = msgspec.msgpack.Encoder().encode


class Frontier:
    """One crawl's frontier on one Redis."""

    def __init__(self, client: redis.Redis, crawl: str) -> None:
        self.client = client
        self.crawl = crawl
        self._keys = [
            keys.crawl(crawl),
            keys.queues(crawl),
            keys.delayed(crawl),
            keys.suspects(crawl),
            keys.leases(crawl),
            keys.levels(crawl),
            keys.counts(crawl),
            keys.records(crawl),
            keys.results(crawl),
            keys.wake(crawl),
            keys.attempts(crawl),
            keys.scope_seeds(crawl),
            keys.hosts(crawl),
        ]
        self._prefixes = [
            keys.queue_prefix(crawl),
            keys.due_prefix(crawl),
            keys.lease_prefix(crawl),
            keys.seen_prefix(crawl),
            keys.bodies_prefix(crawl),
            keys.host_prefix(),
            keys.host_out_prefix(),
            keys.host_queues_prefix(),
            keys.robots_prefix(),
            crawl,
        ]

        self._view = ""

    def _see(self, options: CrawlOptions) -> None:
        """Use the robots.txt answers that are true for a crawl with these options."""
        view = options.view()
        if view != self._view:
            self._view = view
            self._prefixes[8] = keys.robots_prefix(view)

    def _run(self, verb: str, **arguments: Any) -> Any:
        return scripts.run(self.client, verb, self._keys, [*self._prefixes, _pack(arguments)])

    def create(self, options: CrawlOptions, *, unnamed: bool = False) -> tuple[bool, CrawlOptions, str]:
        """Make the crawl unless it exists; return whether it was made, the stored options and its state.

        `unnamed` notes that there will be seeds that the options do not name.
        Raises UsageError when another release made it with a layout this one does not know.
        """
        made, stored, state, schema = self._run(
            "create",
            options=records.to_json(options).decode(),
            id=secrets.token_hex(6),
            schema=records.SCHEMA,
            index=keys.crawls(),
            per_host=options.max_pages_per_host,
            unnamed=unnamed,
            channel=keys.states(),
        )
        check_schema(self.crawl, schema)
        return bool(made), records.options_from_json(stored), state.decode()

    def options(self) -> tuple[CrawlOptions, str, str, str] | None:
        """Return the crawl's options, id, revision and state, or None when there is no such crawl."""
        stored = self.client.hmget(keys.crawl(self.crawl), "options", "id", "rev", "state", "schema")
        if stored[0] is None:
            return None
        check_schema(self.crawl, stored[4])
        return (
            records.options_from_json(stored[0]),
            stored[1].decode(),
            stored[2].decode(),
            stored[3].decode(),
        )

    def reopen(self, options: CrawlOptions | None, *, unnamed: bool = False) -> None:
        """Take further seeds: store the options that name them, if any do, and open the seed source.

        `unnamed` notes that there are seeds (of a file or a stream) that no options name. Raises StoppedError when the
        crawl was cancelled.
        """
        if options is not None:
            self._widen(options)
        arguments: dict[str, Any] = {"unnamed": unnamed, "channel": keys.states()}
        if options is not None:
            arguments["options"] = records.to_json(options).decode()
        self._admits(self._run("reopen", **arguments)[0])

    def _admits(self, state: bytes) -> None:
        """Raise StoppedError for the state of a crawl that admits nothing any more."""
        if state.decode() in names.OVER:
            message = f"crawl '{self.crawl}' was {state.decode()}; choose another --name to crawl again"
            raise StoppedError(message)

    def _widen(self, options: CrawlOptions) -> None:
        """Let seeds that the stored options do not name widen the scope as those of a file do: pages may be parsed."""
        stored = self.options()
        if stored is None:
            return
        older = {scope_entry(options.scope, seed) for seed in stored[0].seeds}
        entries = dict.fromkeys(scope_entry(options.scope, seed) for seed in options.seeds)
        new = [entry for entry in entries if entry is not None and entry not in older]
        heirs = set(options.seeds) - set(stored[0].seeds)
        self._run("add", scope_seeds=new, **self._heirs(heirs, options))

    def stored(self, pages: Sequence[str]) -> list[bytes | None]:
        """Return the records of these URLs as they are stored, None for each that has none; one call."""
        if not pages:
            return []
        fingerprints = [str(urls.fingerprint(page)) for page in pages]
        found: list[bytes | None] = self.client.hmget(keys.records(self.crawl), fingerprints)
        return found

    def has_unnamed_seeds(self) -> bool:
        """Whether the crawl has seeds that its options do not name."""
        return bool(self.client.hexists(keys.crawl(self.crawl), "unnamed_seeds"))

    def add(
        self,
        links: Links,
        *,
        max_pages: int | None,
        lease: str | None = None,
        close_seeds: bool = False,
        scope_seeds: Iterable[str] = (),
        late: CrawlOptions | None = None,
        heirs: Iterable[str] = (),
    ) -> tuple[int, int]:
        """Admit URLs in slices, after what widens the scope; return how many were new and how many the cap kept out.

        `late` are the options where seeds come while the crawl runs: links may have led to these `heirs` before.
        Raises StoppedError when the crawl was cancelled.
        """
        admitted = capped = 0
        calls = links.slices()
        for number, groups in enumerate(calls, start=1):
            arguments: dict[str, Any] = {"groups": groups}
            if max_pages is not None:
                arguments["max_pages"] = max_pages
            if lease is not None:
                arguments["lease"] = lease
            else:
                arguments["host_pages"] = keys.host_pages(self.crawl)
            if number == 1 and scope_seeds:
                arguments["scope_seeds"] = list(scope_seeds)
            if number == 1 and late is not None:
                arguments.update(self._heirs(heirs, late))
            if close_seeds and number == len(calls):
                arguments["close_seeds"] = True
            new, refused, status = self._run("add", **arguments)
            self._admits(status)
            admitted += new
            capped += refused
        return admitted, capped

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

    def fetched(
        self,
        started: Started,
        batch: records.Fetched,
        bodies: Mapping[int, bytes],
        report: Report,
        *,
        options: CrawlOptions,
        body_ttl_s: float,
        store: bool = True,
        attempts: bytes | None = None,
    ) -> bool:
        """Store a batch's references and bodies and report its host; False when the lease was reclaimed meanwhile.

        Requests beyond the references go back to waiting, uncharged; with no reference at all the lease is closed.
        With `store` off the bodies stay with the caller: should it die, the batch is fetched again.
        """
        self._see(options)
        arguments: dict[str, Any] = {
            "lease": started.lease,
            "nonce": started.nonce,
            "lease_ms": int(options.lease_s * 1000),
            "refs": records.to_json(batch).decode(),
            "count": len(batch.refs),
            "bodies": bool(bodies),
            "body_bytes": sum(map(len, bodies.values())) if store else 0,
            "ended_at": report.ended_ms,
            "requests": report.requests,
            "answered": report.answered,
            "fails": report.fails,
            "fail_reason": report.fail_reason,
            "max_attempts_kept": ATTEMPTS_KEPT,
        }
        if report.mean_ms is not None:
            arguments["mean_ms"] = report.mean_ms
        if report.good_ms is not None:
            arguments["good_at"] = report.good_ms
        if report.refusal is not None:
            arguments["refusal"] = self._refusal(report.refusal, options)
        if attempts is not None:
            arguments["attempts"] = attempts.decode()
        if not bodies or not store:
            return bool(self._run("fetched", **arguments)[0] == b"ok")
        args = [*self._prefixes, _pack(arguments)]
        for again in (False, True):
            with self.client.pipeline(transaction=False) as pipe:
                key = keys.bodies(self.crawl, started.lease)
                pipe.hset(key, mapping={str(index): body for index, body in bodies.items()})
                pipe.pexpire(key, int(body_ttl_s * 1000))
                pipe.evalsha(scripts.digest("fetched"), len(self._keys), *self._keys, *args)
                try:
                    return bool(pipe.execute()[-1][0] == b"ok")
                except redis.exceptions.NoScriptError:
                    if again:
                        raise
                    scripts.load(self.client, "fetched")
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _refusal(self, refusal: Refusal, options: CrawlOptions) -> dict[str, Any]:
        return {
            "status": refusal.status,
            "began": refusal.began_ms,
            "pause_ms": refusal.pause_ms,
            # Spreads what several crawls and machines do; nothing secret about it.
            "jitter": random.random(),
            "first_ms": int(HOLD_FIRST_S * 1000),
            "most_ms": int(options.max_hold_s * 1000),
            "limit": HOST_REFUSAL_LIMIT,
            "channel": keys.notices(),
        }

    def load(
        self,
        lease: str,
        *,
        nonce: str,
        options: CrawlOptions,
        with_bodies: bool,
        process: str = "",
        page_s: float = 0.0,
    ) -> Loaded | None:
        """Begin to parse a fetched batch; None when it was closed or reclaimed, or its bodies have expired.

        `page_s` is how long one page may take, in seconds, where that is more than `PARSE_NEVER_S` for all of them.
        """
        self._see(options)
        arguments = {
            "lease": lease,
            "nonce": nonce,
            "process": process,
            "lease_ms": int(options.lease_s * 1000),
            "never_ms": int(PARSE_NEVER_S * 1000),
            "page_ms": int(page_s * 1000),
            "with_bodies": with_bodies,
        }
        bodies: dict[bytes, bytes] = {}
        if with_bodies:
            args = [*self._prefixes, _pack(arguments)]
            with self.client.pipeline(transaction=False) as pipe:
                pipe.hgetall(keys.bodies(self.crawl, lease))
                pipe.evalsha(scripts.digest("load"), len(self._keys), *self._keys, *args)
                try:
                    bodies, answer = pipe.execute()
                except redis.exceptions.NoScriptError:
                    bodies = self.client.hgetall(keys.bodies(self.crawl, lease))
                    answer = self._run("load", **arguments)
        else:
            answer = self._run("load", **arguments)
        if answer[0] != b"ok":
            return None
        _, now_ms, entries, refs, kind, origin, host, crawl_id, revision, scope_count, _ = answer
        return Loaded(
            lease=lease,
            nonce=nonce,
            now_ms=now_ms,
            requests=[records.decode_entry(line, kind.decode()) for line in entries.decode().split("\n")],
            fetched=records.fetched_from_json(refs),
            kind=kind.decode(),
            origin=origin.decode(),
            host=host.decode(),
            crawl_id=crawl_id.decode(),
            revision=revision.decode(),
            scope_count=scope_count,
            bodies={int(index): body for index, body in bodies.items()},
        )

    def scope_seeds(self, first: int, count: int) -> list[str]:
        """Return what widens the scope, in the order of its arrival: `count` entries from place `first` on."""
        found: list[str] = []
        while len(found) < count:
            start = first + len(found)
            stop = min(first + count, start + SCOPE_SEEDS_PER_CALL) - 1
            rows = self.client.zrange(keys.scope_seeds(self.crawl), start, stop)
            if not rows:
                break
            found += [row.decode() for row in rows]
        return found

    def look_due(self) -> Look:
        """Return what of the crawl is to be looked at again before it may end."""
        with self.client.pipeline(transaction=True) as pipe:
            about = ("look_from", "look_to", "look_heirs", "look_levels", "look_after", "came_late")
            pipe.hmget(keys.crawl(self.crawl), about)
            pipe.zcard(keys.scope_seeds(self.crawl))
            pipe.xrevrange(keys.results(self.crawl), count=1)
            (first, until, heirs, levels, after, came_late), count, rows = pipe.execute()
        return Look(
            count=count,
            known=int(first or 0),
            until=until.decode() if until else None,
            heirs=heirs is not None,
            levels=levels is not None,
            after=after.decode() if after else None,
            last=rows[0][0].decode() if rows else "0-0",
            came_late=int(came_late or 0),
        )

    def look_at_levels(self, look: Look) -> None:
        """Note that pages which come from now on may find others that lie nearer than they were found."""
        self._run("levelled", note=look.last)

    def admit_late(
        self, links: Links, options: CrawlOptions, *, scope_seeds: Iterable[str] = (), mark: bool = True
    ) -> tuple[int, int]:
        """Admit what a second look found; return how many were new, and how many a cap or a budget kept out.

        With `mark`, and a finite depth, note what was seen before and maybe further away.
        """
        admitted = kept_out = 0
        limits = self._limits(options)
        if limits and options.depth is not None:
            limits["late"] = True
        entries = list(scope_seeds)
        for groups in links.slices() if len(links) or entries else ():
            arguments: dict[str, Any] = {"groups": groups}
            if limits:
                arguments["limits"] = limits
            if options.max_pages is not None:
                arguments["max_pages"] = options.max_pages
            if entries:
                arguments["scope_seeds"] = entries
            if mark and options.depth is not None:
                arguments["nearer"] = (keys.nearer(self.crawl), NEARER_KEPT, True)
            new, more, _ = self._run("add", **arguments)
            admitted, kept_out = admitted + new, kept_out + more
        return admitted, kept_out

    def looked(self, look: Look, refused: int | None) -> bool:
        """End a look for the scope's sake that found so many links outside; False when it has to be done again.

        None leaves the count of refused links as it is.
        """
        return bool(self._run("looked", to=look.until, known=look.count, refused=refused)[0])

    def _heirs(self, pages: Iterable[str], options: CrawlOptions) -> dict[str, Any]:
        fingerprints = [urls.fingerprint(page) for page in pages]
        return {
            "heirs": [(one % options.seen_buckets, str(one)) for one in fingerprints],
            "heirs_key": keys.heirs(self.crawl),
        }

    def heirs(self) -> list[str]:
        """Return fingerprints of what counts as a seed and was known before."""
        return [member.decode() for member in self.client.sscan_iter(keys.heirs(self.crawl), count=1000)]

    def inherited(self, heirs: Sequence[str]) -> None:
        """Forget heirs that were looked at; the look is over unless others have come."""
        for first in range(0, len(heirs), 1000):
            self._run("looked", heirs=list(heirs[first : first + 1000]), key=keys.heirs(self.crawl))

    def nearer(self) -> Iterator[tuple[str, int]]:
        """Yield the fingerprints of URLs that may lie nearer than they were found, and at which depth."""
        for member, depth in self.client.zscan_iter(keys.nearer(self.crawl), count=1000):
            yield member.decode(), int(depth)

    def depths(self, fingerprints: Sequence[str]) -> list[int]:
        """Return at which depths pages were found, -1 for those without a record; a thousand at most."""
        found: list[int] = self._run("depths", fingerprints=list(fingerprints))
        return found

    def levelled(
        self,
        look: Look,
        found: Sequence[tuple[str, int, Mapping[str, int]]],
        *,
        marks: Sequence[tuple[str, int]] = (),
        after: str | None = None,
        end: bool = False,
    ) -> bool:
        """Give records their true depth and correct the counts of refused links by so many, each once.

        With `marks` those are taken away; at the `end` the look is over, unless others have come, or is to go on with
        the records `after` a stream entry. Returns False, and changes nothing, when URLs came late since it began: it
        has to be taken anew.
        """
        _, goes_on = self._run(
            "levelled",
            came_late=look.came_late,
            found=list(found),
            marks=list(marks),
            key=keys.nearer(self.crawl),
            after=after,
            end=end,
        )
        return bool(goes_on)

    def listed_sitemaps(self, count: int) -> int:
        """Add to how many sitemaps the crawl's indexes have listed, and return that; a repeated parse counts twice."""
        # A parse that ends late brings nothing of a deleted crawl back.
        counted = self.client.eval(_COUNT, 2, keys.crawl(self.crawl), keys.counts(self.crawl), count)
        return int(counted or 0)

    def _limits(self, options: CrawlOptions) -> dict[str, Any]:
        """Return what bounds the URLs of one host and one pattern (`_admit.lua`); nothing where nothing does."""
        limits: dict[str, Any] = {}
        if options.traps == "park":
            limits["patterns"] = keys.patterns(self.crawl)
            limits["most_patterns"] = traps.PATTERNS_KEPT
            limits["budget"] = options.pattern_budget
            limits["dates"] = options.calendar_budget
            limits["trap"] = 0
        if options.max_pages_per_host is not None:
            limits["host_pages"] = keys.host_pages(self.crawl)
            limits["per_host"] = options.max_pages_per_host
        if limits:
            limits["parked"] = keys.parked(self.crawl)
            limits["most_parked"] = traps.PARKED_KEPT
        return limits

    def release(
        self, links: Links, raised: Mapping[str, int], *, options: CrawlOptions
    ) -> tuple[int, int, str]:
        """Admit parked URLs and raise the budgets of their patterns and hosts, by how many more may follow.

        Returns how many were admitted, how many the cap kept out (they stay parked), and the state in which the crawl
        was; a finished one is reopened.
        """
        admitted = capped = 0
        state = ""
        limits = {**self._limits(options), "free": True, "release": True, "parked": keys.parked(self.crawl)}
        told = [
            (name, keys.patterns(self.crawl) if "/" in name else keys.host_pages(self.crawl), allowance)
            for name, allowance in raised.items()
        ]
        for groups in links.slices():
            arguments: dict[str, Any] = {"groups": groups, "limits": limits, "raised": told}
            arguments["channel"] = keys.states()
            if options.max_pages is not None:
                arguments["max_pages"] = options.max_pages
            if options.depth is not None:
                arguments["nearer"] = (keys.nearer(self.crawl), NEARER_KEPT, True)
            new, more, found = self._run("release", **arguments)
            admitted, capped, state = admitted + new, capped + more, state or found.decode()
        return admitted, capped, state

    def retry(
        self, again: Iterable[Again], generation: int, *, options: CrawlOptions
    ) -> tuple[int, int, int, str]:
        """Admit URLs again that have a record, in a generation; hosts and robots.txt that failed get a new chance.

        Returns how many were admitted, how many wait already (of an earlier `retry`), how many have another record by
        now, and the crawl's state before; a finished one is reopened. At most `RETRIED_PER_CALL` at once.
        """
        self._see(options)
        groups: dict[tuple[int, str], list[tuple[str, ...]]] = {}
        for one in again:
            request = one.request
            place = level_of(options, request.depth), urls.origin_of(request.url)
            digest = hashlib.sha1(one.record, usedforsecurity=False).hexdigest()
            fingerprint = str(urls.fingerprint(request.url))
            entry = records.encode_entry(request)
            groups.setdefault(place, []).append((fingerprint, entry, one.outcome, one.reason or "", digest))
        admitted, waiting, changed, state = self._run(
            "retry",
            retried=keys.retried(self.crawl),
            generation=generation,
            channel=keys.states(),
            finite=options.depth is not None,
            groups=[(level, origin, rows) for (level, origin), rows in groups.items()],
        )
        return admitted, waiting, changed, state.decode()

    def complete(
        self,
        lease: str,
        results: Sequence[Result],
        retries: Iterable[tuple[FetchRequest, int]],
        links: Links,
        *,
        options: CrawlOptions,
        scope_seeds: Iterable[str] = (),
        scope_count: int = 0,
        refused: Mapping[str, int] | None = None,
        robots: RobotsAnswer | None = None,
        heirs: Iterable[str] = (),
    ) -> tuple[bool, int]:
        """Close a fetched batch: records, retries (with their not-before time) and new links, once.

        Returns False when somebody closed it before (or it was reclaimed), and how many links the cap or a budget kept
        out.
        Links beyond `links.LINKS_PER_CALL` are added before, only while the lease is open. `scope_count` says by how
        many entries of the scope the batch was judged, `heirs` where seeds redirect to.
        """
        self._see(options)
        calls = links.slices()
        limits = self._limits(options) if len(links) else None
        nearer = (keys.nearer(self.crawl), NEARER_KEPT, False) if options.depth is not None else None
        capped = 0
        for groups in calls[1:]:
            arguments: dict[str, Any] = {"groups": groups, "lease": lease}
            if options.max_pages is not None:
                arguments["max_pages"] = options.max_pages
            if limits:
                arguments["limits"] = limits
            if nearer:
                arguments["nearer"] = nearer
            _, more, status = self._run("add", **arguments)
            capped += more
            if status == b"gone":
                return False, capped
        payload: dict[str, Any] = {
            "lease": lease,
            "results": [
                (
                    str(urls.fingerprint(result.url)),
                    level_of(options, result.depth),
                    result.outcome,
                    result.reason or "",
                    result.record.decode(),
                    *((str(result.generation),) if result.generation else ()),
                )
                for result in results
            ],
            "retries": [
                (
                    keys.queue(self.crawl, level_of(options, request.depth), urls.origin_of(request.url)),
                    level_of(options, request.depth),
                    records.encode_entry(request),
                    not_before_ms,
                )
                for request, not_before_ms in retries
            ],
            "groups": calls[0],
        }
        if any(result.generation for result in results):
            payload["retried"] = keys.retried(self.crawl)
        if options.max_pages is not None:
            payload["max_pages"] = options.max_pages
        if limits:
            payload["limits"] = limits
        if nearer:
            payload["nearer"] = nearer
        if scope_seeds:
            payload["scope_seeds"] = list(scope_seeds)
        if refused:
            payload["refused"] = dict(refused)
        if scope_seeds or (refused and "scope" in refused):
            payload["scope_count"] = scope_count
        if heirs:
            payload.update(self._heirs(heirs, options))
        if robots is not None:
            payload["robots"] = robots
            payload["channel"] = keys.notices()
        status, _, more = self._run("complete", **payload)
        return status == b"ok", capped + more

    def trim(self, rows: Sequence[tuple[str, str, int, str]], stones: bytes, *, prefix: str, to: str) -> int:
        """Remove records that are in a file; `crawl/trimming.py` says which. Return how many were removed."""
        arguments = _pack(
            {
                "rows": rows,
                "prefix": prefix,
                "size": tombstones.SIZE,
                "to": to,
                "retried": keys.retried(self.crawl),
            }
        )
        args: list[str | bytes] = [*self._prefixes, arguments, stones]
        return int(scripts.run(self.client, "trim", self._keys, args))

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

    def finish(self) -> str:
        """End the crawl if nothing is left; return its state. Its hosts forget what it asked of them."""
        state = str(self._run("finish")[0].decode())
        if state == names.FINISHED:
            self.forget()
        return state

    def forget(self) -> None:
        """Have the crawl's hosts forget what it asked of them, a few hundred at a time; safe to repeat."""
        hosts = [host.decode() for host in self.client.sscan_iter(keys.hosts(self.crawl), count=1000)]
        for first in range(0, len(hosts), HOSTS_PER_CALL):
            self._run("forget", hosts=hosts[first : first + HOSTS_PER_CALL])

    def pause(self, by: str) -> str:
        """Hand out nothing more until `resume`; return the state before. Only a running crawl is changed."""
        return str(self._run("pause", by=by, channel=keys.states())[0].decode())

    def resume(self) -> str:
        """Let a paused crawl go on; return the state before."""
        return str(self._run("resume", channel=keys.states())[0].decode())

    def cancel(self) -> str:
        """End a running or paused crawl for good; return the state before. `clear` takes away what it holds."""
        return str(self._run("cancel", channel=keys.states())[0].decode())

    def delete(self) -> str:
        """Mark a finished or cancelled crawl as being deleted; return the state before."""
        return str(self._run("delete")[0].decode())

    def clear(self, options: CrawlOptions, *, force: bool) -> int:
        """Take away what a cancelled crawl holds, in slices; return how many leases with a request under way are left.

        With `force` those are closed as well. Safe to repeat.
        """
        self._see(options)
        under_way, more = 0, 1
        while more:
            more, left = self._run("clear", limit=CLEARED_PER_CALL, skip=under_way, force=force)
            under_way += left
        return under_way

    def status(self) -> tuple[dict[str, str], dict[str, str], int, int, int, int, int, int, int, int]:
        """Return the crawl hash, its counts, records, leased URLs, leases, delayed, suspects, queues, now, retried.

        The last are URLs that have a record and wait for a newer one.
        """
        about, counts, *numbers = self._run("status", retried=keys.retried(self.crawl))
        return (_texts(about), _texts(counts), *numbers)

    def robots(self, origin: str) -> tuple[str, str, bytes] | None:
        """Return an origin's robots.txt answer as version, verdict and body, or None when none is known."""
        key = keys.robots_prefix(self._view) + origin
        version, verdict, body = self.client.hmget(key, "version", "verdict", "body")
        if verdict is None:
            return None
        return version.decode(), verdict.decode(), body or b""

    def robots_sitemaps(self, origin: str) -> list[str]:
        """Return the sitemaps that an origin's robots.txt names; none as long as it has not been read."""
        lines = self.client.hget(keys.robots_prefix(self._view) + origin, "sitemaps")
        return lines.decode().split("\n") if lines else []

    def site(self, options: CrawlOptions, origin: str) -> list[str] | None:
        """Return the sitemaps an origin declares; None where nothing of it may be asked for."""
        answer = self.robots(origin) if options.robots == "obey" else None
        if answer is None:
            return []
        _, verdict, _ = answer
        if verdict != "rules":
            return None if verdict == "deny" else []
        return sitemaps.declared(origin, self.robots_sitemaps(origin))

    def robots_attempts(self, origin: str) -> int:
        """Return how often in a row an origin's robots.txt could not be had."""
        return int(self.client.hget(keys.robots_prefix(self._view) + origin, "attempts") or 0)


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


def check_schema(crawl: str, schema: bytes | int) -> None:
    """Raise UsageError when a crawl was made by a release with another layout."""
    if int(schema) != records.SCHEMA:
        message = (
            f"crawl '{crawl}' was made by another release of poolcrawl (layout {int(schema)}, this one has "
            f"{records.SCHEMA}); use that release, or choose another --name"
        )
        raise UsageError(message)


def _batch(row: list[Any]) -> Batch:
    lease, kind, count, url = row
    return Batch(lease=lease.decode(), kind=kind.decode(), count=int(count), url=url.decode())


def _texts(flat: list[bytes]) -> dict[str, str]:
    texts = [part.decode() for part in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))
