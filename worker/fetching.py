"""A batch's requests, one after the other in one slot: verdicts, HTTP, and one report at the end."""

from __future__ import annotations

import math
import secrets
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from crawl import cookies, names, urls
from crawl.batches import Refusal, Renewal, Report
from crawl.errors import UnknownCrawlError
from crawl.frontier import BATCH_BUDGET_S, HOST_REFUSAL_LIMIT
from crawl.records import REASONS, Fetched, PageRef, to_json
from worker import deaths, drain, validators
from worker.cookies import Jar
from worker.fetch import fetch, fetch_robots
from worker.robots import product_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crawl.batches import Started
    from crawl.records import CrawlOptions, FetchRequest
    from worker.leases import Held
    from worker.process import Process, Terms
    from worker.sessions import Limits, Web
    from worker.turns import Turn

#: Bytes of bodies one batch gathers before it ends early.
BATCH_BYTES = 8 * 1024 * 1024
#: Failures that say something about the host rather than about the page.
_HOST_FAILURES = frozenset({"dns", "connect"})
#: Statuses by which a server asks to be left alone for a while (RFC 6585 section 4, RFC 9110 section 15.6.4).
REFUSALS = frozenset({429, 503})


class FetchedBatch(msgspec.Struct):
    """What a fetch task hands to the parse that follows it."""

    lease: str
    refs: list[PageRef]
    bodies: dict[int, bytes]

    def summary(self, crawl: str) -> dict[str, Any]:
        """Return the callback's argument: names and counts a person can read, never a body."""
        return {
            "crawl": crawl,
            "lease": self.lease,
            "pages": len(self.refs),
            "bytes": sum(len(body) for body in self.bodies.values()),
        }


def fetch_batch(
    process: Process, crawl: str, lease: str, *, worker: str, slot: str, turn: Turn
) -> FetchedBatch | None:
    """Take a leased batch and make its requests; None when it is not to be had (a second delivery, a paused crawl)."""
    frontier = process.frontier(crawl)
    terms = process.terms(crawl)
    process.notices.listen()
    before = time.monotonic()
    started = frontier.start(
        lease,
        nonce=secrets.token_hex(8),
        worker=worker,
        process=deaths.mark(worker),
        options=terms.options,
    )
    began = time.monotonic()
    if isinstance(started, str):
        return None
    terms = process.terms(crawl, started.crawl_id, started.revision)
    options = terms.options
    held = process.renewer.hold(Renewal(crawl, lease, started.host, started.nonce, options.lease_s), before)
    try:
        if started.requests[0].suspect and not started.doom:
            turn.be_alone()
            if not frontier.isolate(lease, started.nonce, options.total_timeout_s + options.lease_s):
                return None
        asking = _Asking(process, crawl, terms, started, held, (before, began))
        asking.run()
        if held.kept():
            asking.keep_cookies()
        batch = Fetched(pool=process.pool.name, slot=slot, worker=worker, refs=asking.refs)
        kept = frontier.fetched(
            started,
            batch,
            asking.bodies,
            asking.report(),
            options=options,
            body_ttl_s=process.settings.body_ttl_s,
            store=options.pipeline == names.PIPELINE_CALLBACK,
            attempts=asking.attempts(worker),
        )
    finally:
        process.renewer.drop(held)
    return FetchedBatch(lease, asking.refs, asking.bodies) if kept and asking.refs else None


class _Asking:
    """The loop over one batch, and what it gathers."""

    def __init__(
        self,
        process: Process,
        crawl: str,
        terms: Terms,
        started: Started,
        held: Held,
        times: tuple[float, float],
    ) -> None:
        self.refs: list[PageRef] = []
        self.bodies: dict[int, bytes] = {}
        self._process = process
        self._crawl = crawl
        self._options: CrawlOptions = terms.options
        self._scope = terms.scope
        self._started = started
        self._held = held
        #: When `start` was called, and when its answer was here.
        self._before, self._began = times
        #: Our clock is behind Redis' by the way back of this call: by so much at most. Politeness counts with
        #: all of it, so that an end is never taken for earlier than it was.
        self._lag_ms = math.ceil((self._began - self._before) * 1000)
        self._refusal: Refusal | None = None
        self._dropped: PageRef | None = None
        self._bytes = 0
        #: The request that is under way, or was last.
        self._limits: Limits | None = None
        self._token = product_token(self._options.user_agent)
        self._web: Web | None = None
        self._jar: Jar | None = None
        #: Why nothing of the origin may be asked for, where its robots.txt could not be had (`robots.denial_of`).
        self._denial = ""
        self._allowed: Callable[[str], bool] = self._verdicts()
        #: Headers of conditional requests, by position in the batch.
        self._validators: dict[int, Mapping[str, str]] = {}
        if self._options.recrawl is not None and started.kind == names.PAGE and not started.doom:
            self._validators = self._read_validators(self._options.recrawl)

    def _begin(self, limits: Limits) -> None:
        """Note a request for those who may have to end it: the lease's renewer, and the drain."""
        self._limits = limits
        self._held.asking(limits)
        self._process.cutter.begin(limits)

    def clock_ms(self) -> int:
        """Return Redis time: what `start` said, plus what has passed here since."""
        return self._started.now_ms + int((time.monotonic() - self._began) * 1000)

    def _verdicts(self) -> Callable[[str], bool]:
        if self._options.robots != "obey" or self._started.kind == names.ROBOTS:
            return lambda _: True
        verdict, rules, self._denial = self._process.rules(
            self._crawl, self._started.origin, self._started.robots_version
        )
        if rules is None:
            return lambda _: verdict == "allow"
        return lambda url: rules.allowed(url, self._token)

    def _read_validators(self, older: str) -> dict[int, Mapping[str, str]]:
        """Return what the older crawl knows of these URLs; nothing where it is gone or read pages otherwise."""
        try:
            if not self._options.reads_as(self._process.terms(older).options):
                return {}
        except UnknownCrawlError:
            return {}
        lines = self._process.frontier(older).stored([request.url for request in self._started.requests])
        return {index: validators.headers_of(line) for index, line in enumerate(lines) if line is not None}

    def run(self) -> None:
        """Ask for one URL after the other, until the batch, its time or its bytes are spent."""
        expected_s = self._started.expected_ms / 1000
        spent_s = 0.0
        asked = 0
        for index, request in enumerate(self._started.requests):
            if drain.begun() or not self._held.usable():
                return
            if asked and (
                spent_s + max(expected_s, spent_s / asked) > BATCH_BUDGET_S or self._bytes > BATCH_BYTES
            ):
                return
            if asked and self._process.notices.heard(self._started.host, self._before):
                return
            before = time.monotonic()
            ref = self._one(index, request)
            cut = self._limits is not None and self._process.cutter.end(self._limits)
            if ref.requested and (cut or not self._held.kept()):
                # Aborted, or answered too late: it says nothing about the page, but the host was asked.
                self.bodies.pop(index, None)
                self._dropped = ref
                return
            self.refs.append(ref)
            if ref.requested:
                asked += 1
                spent_s += time.monotonic() - before
                if self._refused(ref):
                    return

    def _one(self, index: int, request: FetchRequest) -> PageRef:
        doom = self._started.doom
        if doom:
            reason, status, detail = _fate(doom, request)
            return self._without_request(index, "failed", reason, detail, status)
        # A seed's own host is in scope by that; seeds of a stream are not even in the options.
        of_seed = request.via == names.SEED and self._started.kind == names.PAGE
        if of_seed and self._scope.pattern_refusal(request.url):
            detail = f"the seed lies outside its own scope: {self._scope.explain_seed(request.url).why}"
            return self._without_request(index, "skipped", "scope", detail)
        if not self._allowed(request.url):
            reason, _, why = self._denial.partition(" ")
            if reason in REASONS and reason != "robots":
                return self._without_request(index, "failed", reason, why)
            return self._without_request(
                index, "skipped", "robots", why or f"{self._started.origin}/robots.txt disallows it"
            )
        if self._web is None:
            self._web = self._process.web(self._options)
            if self._options.cookies and self._started.kind == names.PAGE:
                self._jar = Jar(cookies.load(self._process.client, self._crawl, self._domain()))
        if self._started.kind == names.ROBOTS:
            ref, body = fetch_robots(request, index, self._web, self._options, self.clock_ms, self._begin)
        else:
            extra = self._validators.get(index)
            ref, body = fetch(
                request, index, self._web, self._options, self.clock_ms, self._begin, extra, self._jar
            )
            if extra and ref.status == HTTPStatus.NOT_MODIFIED:
                validators.accept(ref)
        if body is not None:
            self.bodies[index] = body
            self._bytes += len(body)
        return ref

    def _domain(self) -> str:
        return urls.domain_of(self._started.host)

    def keep_cookies(self) -> None:
        """Store what the answers changed, before the host is given to others."""
        if self._jar is not None:
            cookies.store(self._process.client, self._crawl, self._domain(), *self._jar.changes())

    def _without_request(
        self, index: int, outcome: str, reason: str, detail: str, status: int | None = None
    ) -> PageRef:
        now = self.clock_ms()
        return PageRef(
            index=index,
            outcome=outcome,  # type: ignore[arg-type]
            reason=reason,
            detail=detail,
            status=status,
            requested=False,
            started_ms=now,
            ended_ms=now,
        )

    def _refused(self, ref: PageRef) -> bool:
        """Whether the server refused (429, 503): it is left alone by everybody, so the batch ends here."""
        if ref.status not in REFUSALS:
            return False
        # A pause of nothing is no pause: the host gets the one that refusals without a word get.
        asked_s = min(ref.retry_after_s or 0.0, self._options.max_hold_s)
        self._refusal = Refusal(ref.status, ref.started_ms, math.ceil(asked_s * 1000))
        return True

    def report(self) -> Report:
        """Return what these requests say of their host."""
        made = [ref for ref in self.refs if _was_made(ref)]
        answered = [ref for ref in made if ref.reason not in _HOST_FAILURES]
        good = [ref for ref in answered if ref.status is not None and ref.status not in REFUSALS]
        total_ms = sum(ref.ended_ms - ref.started_ms for ref in made)
        asked = [*made, self._dropped] if self._dropped is not None else made
        return Report(
            ended_ms=max((ref.ended_ms for ref in asked), default=self.clock_ms()) + self._lag_ms,
            requests=len(asked),
            mean_ms=total_ms / len(made) if made else None,
            answered=bool(answered),
            fails=len(made) - len(answered),
            fail_reason=next((ref.reason or "" for ref in made if ref.reason in _HOST_FAILURES), ""),
            good_ms=good[-1].started_ms if good else None,
            refusal=self._refusal,
        )

    def attempts(self, worker: str) -> bytes | None:
        """Return every request made, for the attempts stream."""
        started = self._started
        asked = [ref for ref in self.refs if ref.requested]
        rows = [
            (
                started.requests[ref.index].url,
                started.host,
                started.kind,
                ref.started_ms + self._lag_ms,
                ref.ended_ms + self._lag_ms,
                int(started.delay_ms),
                worker,
                _result(ref) if ref is not self._dropped else "aborted",
                started.cap,
            )
            for ref in ([*asked, self._dropped] if self._dropped is not None else asked)
        ]
        return to_json(rows) if rows else None


def _fate(doom: str, request: FetchRequest) -> tuple[str, int | None, str]:
    """Return reason, status and sentence for a URL that is given up without a request."""
    reason, _, status = doom.partition(" ")
    if reason == "lost":
        return reason, None, f"{request.losses} workers ended while they worked on it"
    if reason == "http" and status:
        return (
            reason,
            int(status),
            f"not asked for: its host answered {status} {HOST_REFUSAL_LIMIT} times in a row",
        )
    return (
        reason if reason in REASONS else "connect",
        None,
        "given up: the host could not be reached many times in a row",
    )


def _was_made(ref: PageRef) -> bool:
    """Whether a request went out to the host."""
    return ref.requested and ref.reason != "address"


def _result(ref: PageRef) -> str:
    what = ref.reason or ref.outcome
    return what if ref.status is None else f"{what} {ref.status}"
