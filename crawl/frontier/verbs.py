"""What every verb of the frontier stands on: the keys of one crawl, the one call, and what several verbs are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from crawl import keys, names, scripts, traps, urls
from crawl.errors import StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import redis

    from crawl.records import CrawlOptions

#: URLs marked as maybe nearer than they were found, at most; only redirects and sitemaps mark.
NEARER_KEPT = 100_000

#: Arguments of a verb; JSON inside goes as text, since Redis' MessagePack knows no binary type.
pack = msgspec.msgpack.Encoder().encode


class Verbs:
    """How one crawl's verbs are called on one Redis; what they are called for is its subclasses' part."""

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
        return scripts.run(self.client, verb, self._keys, [*self._prefixes, pack(arguments)])

    def _admits(self, state: bytes) -> None:
        """Raise StoppedError for the state of a crawl that admits nothing any more."""
        if state.decode() in names.OVER:
            message = f"crawl '{self.crawl}' was {state.decode()}; choose another --name to crawl again"
            raise StoppedError(message)

    def _heirs(self, pages: Iterable[str], options: CrawlOptions) -> dict[str, Any]:
        fingerprints = [urls.fingerprint(page) for page in pages]
        return {
            "heirs": [(one % options.seen_buckets, str(one)) for one in fingerprints],
            "heirs_key": keys.heirs(self.crawl),
        }

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
