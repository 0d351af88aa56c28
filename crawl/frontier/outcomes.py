"""What comes of a lease: what was fetched, its parse, and the records, retries and links that close it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import redis

from crawl import keys, records, scripts, tombstones, urls
from crawl.batches import Loaded
from crawl.frontier.leases import HOST_REFUSAL_LIMIT, PARSE_NEVER_S
from crawl.frontier.verbs import NEARER_KEPT, Verbs, pack
from crawl.links import level_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from crawl.batches import Refusal, Report, Result, RobotsAnswer, Started
    from crawl.links import Links
    from crawl.records import CrawlOptions, FetchRequest

#: Longest first hold after a refusal that asks for none; doubled with each further one in a row.
HOLD_FIRST_S = 1.0
#: Batches whose attempts are kept per crawl; older ones are dropped.
ATTEMPTS_KEPT = 200_000


class Outcomes(Verbs):
    """The verbs by which workers hand in what they did, and the records that are there since."""

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
        args = [*self._prefixes, pack(arguments)]
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
            args = [*self._prefixes, pack(arguments)]
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

    def stored(self, pages: Sequence[str]) -> list[bytes | None]:
        """Return the records of these URLs as they are stored, None for each that has none; one call."""
        if not pages:
            return []
        fingerprints = [str(urls.fingerprint(page)) for page in pages]
        found: list[bytes | None] = self.client.hmget(keys.records(self.crawl), fingerprints)
        return found

    def trim(self, rows: Sequence[tuple[str, str, int, str]], stones: bytes, *, prefix: str, to: str) -> int:
        """Remove records that are in a file; `crawl/trimming.py` says which. Return how many were removed.

        It is -1, and none was, where records of this crawl were trimmed into another file.
        """
        arguments = pack(
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
