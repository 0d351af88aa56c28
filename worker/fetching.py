"""A batch's requests, one after the other in one slot: verdicts, HTTP, and one report at the end."""

from __future__ import annotations

import secrets
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from crawl import names
from crawl.batches import Renewal, Report
from crawl.errors import UnknownCrawlError
from crawl.frontier import BATCH_BUDGET_S
from crawl.records import REASONS, Fetched, PageRef, to_json
from worker import drain, validators
from worker.fetch import fetch, fetch_robots
from worker.robots import product_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crawl.batches import Started
    from crawl.records import CrawlOptions, FetchRequest
    from worker.leases import Held
    from worker.process import Process, Terms
    from worker.sessions import Web

#: Bytes of bodies one batch gathers before it ends early.
BATCH_BYTES = 8 * 1024 * 1024
#: Failures that say something about the host rather than about the page.
_HOST_FAILURES = frozenset({"dns", "connect"})


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


def fetch_batch(process: Process, crawl: str, lease: str, *, worker: str, slot: str) -> FetchedBatch | None:
    """Take a leased batch and make its requests; None when it is not to be had (a second delivery, a paused crawl)."""
    frontier = process.frontier(crawl)
    terms = process.terms(crawl)
    started = frontier.start(lease, nonce=secrets.token_hex(8), worker=worker, options=terms.options)
    began = time.monotonic()
    if isinstance(started, str):
        return None
    terms = process.terms(crawl, started.crawl_id, started.revision)
    options = terms.options
    held = process.renewer.hold(Renewal(crawl, lease, started.host, started.nonce, options.lease_s))
    try:
        asking = _Asking(process, crawl, terms, started, held, began)
        asking.run()
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
        self, process: Process, crawl: str, terms: Terms, started: Started, held: Held, began: float
    ) -> None:
        self.refs: list[PageRef] = []
        self.bodies: dict[int, bytes] = {}
        self._process = process
        self._crawl = crawl
        self._options: CrawlOptions = terms.options
        self._scope = terms.scope
        self._started = started
        self._held = held
        self._began = began
        self._hold_until_ms = 0
        self._bytes = 0
        self._token = product_token(self._options.user_agent)
        self._web: Web | None = None
        #: Why nothing of the origin may be asked for, where there is no web server (`robots.denial_of`).
        self._denial = ""
        self._allowed: Callable[[str], bool] = self._verdicts()
        #: Headers of conditional requests, by position in the batch.
        self._validators: dict[int, Mapping[str, str]] = {}
        if self._options.recrawl is not None and started.kind == names.PAGE and not started.doom:
            self._validators = self._read_validators(self._options.recrawl)

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
            before = time.monotonic()
            ref = self._one(index, request)
            if ref.requested and not self._held.kept():
                # Aborted, or answered too late: it says nothing about the page.
                self.bodies.pop(index, None)
                return
            self.refs.append(ref)
            if ref.requested:
                asked += 1
                spent_s += time.monotonic() - before
                if self._holds(ref):
                    return

    def _one(self, index: int, request: FetchRequest) -> PageRef:
        doom = self._started.doom
        if doom:
            reason = doom if doom in REASONS else "connect"
            detail = (
                f"{request.losses} workers ended while they worked on it"
                if doom == "lost"
                else "given up: the host could not be reached many times in a row"
            )
            return self._without_request(index, "failed", reason, detail)
        if request.via == names.SEED and self._started.kind == names.PAGE:
            refusal = self._scope.pattern_refusal(request.url)
            if refusal:
                detail = f"the seed lies outside its own scope ({refusal})"
                return self._without_request(index, "skipped", "scope", detail)
        if not self._allowed(request.url):
            reason, _, why = self._denial.partition(" ")
            if reason in REASONS:
                return self._without_request(index, "failed", reason, why)
            return self._without_request(
                index, "skipped", "robots", f"{self._started.origin}/robots.txt disallows it"
            )
        if self._web is None:
            self._web = self._process.web(self._options)
        if self._started.kind == names.ROBOTS:
            ref, body = fetch_robots(
                request, index, self._web, self._options, self.clock_ms, self._held.asking
            )
        else:
            extra = self._validators.get(index)
            ref, body = fetch(
                request, index, self._web, self._options, self.clock_ms, self._held.asking, extra
            )
            if extra and ref.status == HTTPStatus.NOT_MODIFIED:
                validators.accept(ref)
        if body is not None:
            self.bodies[index] = body
            self._bytes += len(body)
        return ref

    def _without_request(self, index: int, outcome: str, reason: str, detail: str) -> PageRef:
        now = self.clock_ms()
        return PageRef(
            index=index,
            outcome=outcome,  # type: ignore[arg-type]
            reason=reason,
            detail=detail,
            requested=False,
            started_ms=now,
            ended_ms=now,
        )

    def _holds(self, ref: PageRef) -> bool:
        """Whether the server asked for a pause (RFC 9110 section 10.2.3); it holds for everybody."""
        if ref.status not in (429, 503) or ref.retry_after_s is None:
            return False
        pause_s = min(ref.retry_after_s, self._options.max_hold_s)
        self._hold_until_ms = max(self._hold_until_ms, ref.ended_ms + int(pause_s * 1000))
        return True

    def report(self) -> Report:
        """Return what these requests say of their host."""
        made = [ref for ref in self.refs if ref.requested and ref.reason != "address"]
        answered = [ref for ref in made if ref.reason not in _HOST_FAILURES]
        total_ms = sum(ref.ended_ms - ref.started_ms for ref in made)
        return Report(
            ended_ms=max((ref.ended_ms for ref in made), default=self.clock_ms()),
            requests=len(made),
            mean_ms=total_ms / len(made) if made else None,
            hold_until_ms=self._hold_until_ms,
            answered=bool(answered),
            fails=len(made) - len(answered),
            fail_reason=next((ref.reason or "" for ref in made if ref.reason in _HOST_FAILURES), ""),
        )

    def attempts(self, worker: str) -> bytes | None:
        """Return every request made, for the attempts stream."""
        requests = self._started.requests
        rows = [
            (
                requests[ref.index].url,
                self._started.host,
                self._started.kind,
                ref.started_ms,
                ref.ended_ms,
                int(self._started.delay_ms),
                worker,
                ref.reason or ref.outcome
                if ref.status is None
                else f"{ref.reason or ref.outcome} {ref.status}",
            )
            for ref in self.refs
            if ref.requested
        ]
        return to_json(rows) if rows else None
