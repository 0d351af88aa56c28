"""A fetched batch becomes page records, retries and new links, and closes its lease in one call."""

from __future__ import annotations

import logging
import random
import secrets
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from crawl import names, urls
from crawl.admission import Admission, may_follow
from crawl.batches import Renewal, Result
from crawl.errors import FetchError, UnknownCrawlError
from crawl.frontier import PARSE_NEVER_S
from crawl.records import FetchRequest, PageRecord, to_json
from worker import deaths, validators
from worker.parse import Document, directives
from worker.robots import answer_of, product_token

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crawl.batches import Loaded, RobotsAnswer
    from crawl.records import PageRef
    from worker.process import Process, Terms
    from worker.turns import Turn

log = logging.getLogger(__name__)

#: First pause before another attempt; doubled each time, with full jitter.
BACKOFF_FIRST_S = 1.0
#: Longest pause before another attempt.
BACKOFF_MOST_S = 300.0


def parse_batch(
    process: Process,
    crawl: str,
    lease: str,
    *,
    worker: str,
    slot: str,
    turn: Turn,
    bodies: Mapping[int, bytes] | None = None,
) -> int:
    """Parse a fetched batch and complete it; return how many URLs it closed (0: somebody else did, or it is gone).

    `bodies` are given where fetch and parse share a task; else they are read from Redis.
    """
    frontier = process.frontier(crawl)
    try:
        terms = process.terms(crawl)
    except UnknownCrawlError:
        return 0
    loaded = frontier.load(
        lease,
        nonce=secrets.token_hex(8),
        process=deaths.mark(worker),
        options=terms.options,
        with_bodies=bodies is None,
        page_s=process.settings.parse_timeout_s,
    )
    if loaded is None:
        return 0
    terms = process.terms(crawl, loaded.crawl_id, loaded.revision)
    held = process.renewer.hold(Renewal(crawl, lease, loaded.host, loaded.nonce, terms.options.lease_s))
    try:
        # Of what was not asked for there is nothing to read.
        if loaded.requests[0].suspect and loaded.fetched.refs[0].requested:
            turn.be_alone()
            page_s = process.settings.parse_timeout_s
            if not frontier.isolate(lease, loaded.nonce, max(PARSE_NEVER_S, page_s + terms.options.lease_s)):
                return 0
        work = _Parsing(
            process, crawl, terms, loaded, loaded.bodies if bodies is None else bodies, (worker, slot)
        )
        work.run()
        closed, capped = frontier.complete(
            lease,
            work.results,
            work.retries,
            work.admission.new,
            options=terms.options,
            scope_seeds=work.admission.scope_seeds,
            scope_count=loaded.scope_count,
            refused=work.admission.refused,
            robots=work.robots,
            heirs=work.admission.heirs,
        )
    finally:
        process.renewer.drop(held)
    if not closed:
        return 0
    terms.sites.update(work.sites)
    if not capped:
        terms.remember(work.admission.new.fingerprints)
    return len(work.results) + len(work.retries)


class _Parsing:
    """The loop over one batch, and what it makes of it."""

    def __init__(
        self,
        process: Process,
        crawl: str,
        terms: Terms,
        loaded: Loaded,
        bodies: Mapping[int, bytes],
        place: tuple[str, str],
    ) -> None:
        options = terms.options
        self.results: list[Result] = []
        self.retries: list[tuple[FetchRequest, int]] = []
        frontier = process.frontier(crawl)
        scope = terms.scope_of(frontier, loaded.scope_count)
        self.sites: list[str] = []
        self.admission = Admission(
            options, scope, self._listed_sitemaps, now_ms=loaded.now_ms, known=terms.known
        )
        self.robots: RobotsAnswer | None = None
        self._process = process
        self._crawl = crawl
        self._options = options
        self._reading = terms.reading
        self._sites = terms.sites
        self._loaded = loaded
        self._bodies = bodies
        self._worker, self._slot = place
        self._began = time.monotonic()
        #: The page under way, as the watchdog knows it.
        self._page = ""

    def _now_ms(self) -> int:
        return self._loaded.now_ms + int((time.monotonic() - self._began) * 1000)

    def run(self) -> None:
        """Turn every reference into a record, a retry, or an answer about robots.txt."""
        older = self._older_records()
        for ref in self._loaded.fetched.refs:
            request = self._loaded.requests[ref.index]
            self._page = request.url
            with self._process.watchdog.watching(self._page):
                self._take(request, ref, older)

    def _take(self, request: FetchRequest, ref: PageRef, older: Mapping[str, bytes | None]) -> None:
        """Turn one reference into what it comes to."""
        if ref.status == HTTPStatus.NOT_MODIFIED and ref.outcome == "ok":
            self._unchanged(request, ref, validators.stored(older.get(request.url)))
        elif request.kind == names.ROBOTS:
            self.robots = self._robots_answer(request, ref)
        elif ref.transient and request.attempts + 1 < self._options.max_attempts:
            self.retries.append(self._retry(request, ref))
        else:
            self._record(request, ref)

    def _listed_sitemaps(self, count: int) -> int:
        with self._process.watchdog.aside(self._page):
            return self._process.frontier(self._crawl).listed_sitemaps(count)

    def _older_records(self) -> dict[str, bytes | None]:
        """Return what the older crawl has stored of the pages that have not changed since, by URL."""
        if self._options.recrawl is None:
            return {}
        pages = [
            self._loaded.requests[ref.index].url
            for ref in self._loaded.fetched.refs
            if ref.status == HTTPStatus.NOT_MODIFIED and ref.outcome == "ok"
        ]
        return dict(zip(pages, self._process.frontier(self._options.recrawl).stored(pages), strict=True))

    def _unchanged(self, request: FetchRequest, ref: PageRef, older: PageRecord | None) -> None:
        """Record a page that has not changed with what was stored of it, and admit its links as if it had been read."""
        if older is None and request.attempts + 1 < self._options.max_attempts:
            # Deleted or trimmed since the request was made: the next one will be unconditional.
            self.retries.append(self._retry(request, ref))
            return
        record = self._plain_record(request, ref)
        if older is None:
            self._fail(record, "error", "unchanged, but what was known of it is gone from the older crawl")
        else:
            validators.restore(record, older)
            document = Document(links=older.links, kind=older.kind, robots=older.robots)
            self.admission.links(request, document, follow=may_follow(self._options, record.robots))
        self._close(request, record)

    def _pause_ms(self, attempts: int, asked_s: float | None = None) -> int:
        if asked_s is not None:
            return int(min(asked_s, self._options.max_hold_s) * 1000)
        # Jitter spreads retries; nothing secret about it.
        most_s = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2**attempts)
        return int(random.uniform(0, most_s) * 1000)

    def _retry(self, request: FetchRequest, ref: PageRef) -> tuple[FetchRequest, int]:
        again = msgspec.structs.replace(request, attempts=request.attempts + 1)
        return again, self._now_ms() + self._pause_ms(request.attempts, ref.retry_after_s)

    def _robots_answer(self, request: FetchRequest, ref: PageRef) -> RobotsAnswer:
        origin = self._loaded.origin
        retry_ms = None
        if ref.transient:
            with self._process.watchdog.aside(self._page):
                tried = self._process.frontier(self._crawl).robots_attempts(origin)
            if tried + 1 < self._options.max_attempts:
                retry_ms = self._pause_ms(tried, ref.retry_after_s)
        return answer_of(origin, request, ref, self._bodies.get(ref.index), self._options, retry_ms)

    def _record(self, request: FetchRequest, ref: PageRef) -> None:
        record = self._plain_record(request, ref)
        if ref.outcome == "redirect":
            self._redirect(request, ref, record)
        elif ref.outcome == "ok":
            self._read(request, ref, record)
        self._close(request, record)

    def _close(self, request: FetchRequest, record: PageRecord) -> None:
        """Put the record with what the batch came to."""
        if self._options.sitemaps and request.depth == 0 and request.via in (names.SEED, names.REDIRECT):
            self._site(request)
        record.parsed_at = _rfc3339(self._now_ms())
        self.results.append(
            Result(
                request.url, request.depth, record.outcome, record.reason, to_json(record), request.generation
            )
        )

    def _site(self, request: FetchRequest) -> None:
        """Offer the sitemaps of a seed's origin, and of one it redirected to, once per process.

        Here and not with the answer to robots.txt: another crawl may have had that answer.
        """
        origin = urls.origin_of(request.url)
        if origin in self._sites or origin in self.sites:
            return
        with self._process.watchdog.aside(self._page):
            declared = self._process.frontier(self._crawl).site(self._options, origin)
        if declared is None:
            # Its robots.txt could not be had; after a retry it may be.
            return
        self.admission.site(request, declared)
        self.sites.append(origin)

    def _plain_record(self, request: FetchRequest, ref: PageRef) -> PageRecord:
        fetched = self._loaded.fetched
        return PageRecord(
            crawl=self._crawl,
            url=request.url,
            via=request.via,
            parent=request.parent,
            depth=request.depth,
            attempts=request.attempts + (1 if ref.requested else 0),
            outcome=ref.outcome,
            reason=ref.reason,
            detail=ref.detail,
            status=ref.status,
            content_type=ref.content_type,
            charset=ref.charset,
            bytes=ref.bytes,
            sha256=ref.sha256,
            etag=ref.etag,
            last_modified=ref.last_modified,
            queued_at=_rfc3339(request.queued_ms),
            started_at=_rfc3339(ref.started_ms),
            fetched_at=_rfc3339(ref.ended_ms),
            fetch_ms=float(ref.ended_ms - ref.started_ms),
            wait_ms=float(max(0, ref.started_ms - request.queued_ms)),
            pool=fetched.pool,
            slot=fetched.slot,
            worker=fetched.worker,
            parse_pool=self._process.pool.name,
            parse_worker=self._worker,
            parse_slot=self._slot,
            lease=self._loaded.lease,
            robots=self._directives((), ref.robots_tag),
            generation=request.generation,
        )

    def _directives(self, metas: Sequence[tuple[str, str]], header: str | None) -> list[str]:
        if not metas and header is None:
            return []
        return directives.applying(metas, header, product_token(self._options.user_agent))

    def _fail(self, record: PageRecord, reason: str, detail: str) -> None:
        record.outcome = "failed"
        record.reason = reason
        record.detail = detail

    def _redirect(self, request: FetchRequest, ref: PageRef, record: PageRecord) -> None:
        """Admit a redirect's target like a link, at the same depth; every hop is judged on its own."""
        location = ref.location or ""
        target = urls.join(request.url, location)
        if target is None and len(location) > urls.MAX_URL_LENGTH:
            self._fail(
                record,
                "redirects",
                f"redirects to a URL of {len(location)} characters; at most {urls.MAX_URL_LENGTH} are taken",
            )
            return
        if target is None:
            shown = urls.without_userinfo(location)[:200]
            shown = "".join(char if char.isprintable() else "?" for char in shown)
            self._fail(record, "scheme", f"redirects to '{shown}', which is no http or https URL")
            return
        if self._options.drop_query:
            target = urls.drop_query(target, self._options.drop_query)
        record.redirect_to = target
        if target == request.url:
            self._fail(record, "redirects", "redirects to itself")
            return
        if request.hops + 1 > self._options.max_redirects:
            self._fail(
                record, "redirects", f"the chain is longer than {self._options.max_redirects} redirects"
            )
            return
        self.admission.redirect(request, target)

    def _read(self, request: FetchRequest, ref: PageRef, record: PageRecord) -> None:
        began = time.perf_counter()
        body = self._bodies.get(ref.index)
        if body is None:
            self._fail(record, "error", "its body was gone when it was to be parsed")
            log.error("no body for %s in lease %s", request.url, self._loaded.lease)
            return
        try:
            document = self._process.parse(
                request.url,
                body,
                ref.content_type,
                ref.charset,
                self._options.max_links,
                reading=self._reading,
                sitemap=request.via == names.SITEMAP,
            )
        except FetchError as error:
            self._fail(record, error.reason, error.detail)
            return
        except Exception as error:
            log.exception("parsing %s", request.url)
            self._fail(record, "parse", f"{type(error).__name__}: {error}")
            return
        if ref.refresh is not None and (target := urls.join(request.url, ref.refresh)):
            # A link like that of <meta http-equiv=refresh>.
            links = list(dict.fromkeys([*document.links, target]))
            document = msgspec.structs.replace(document, links=links)
        if self._options.drop_query:
            document = document.without_parameters(self._options.drop_query)
        record.charset = document.charset
        record.title = document.title
        record.description = document.description
        record.canonical_link = document.canonical_link
        record.lang = document.lang
        record.text_length = document.text_length
        record.links = document.links
        record.kind = document.kind
        record.open_graph = document.open_graph
        record.json_ld = document.json_ld
        record.text = document.text
        record.data = document.data
        record.detail = document.detail
        record.robots = self._directives(document.robots_meta, ref.robots_tag)
        self.admission.links(request, document, follow=may_follow(self._options, record.robots))
        record.parse_ms = round((time.perf_counter() - began) * 1000, 3)


def _rfc3339(ms: int) -> str:
    """Return a Redis time as RFC 3339 UTC with milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"
