"""What is known of the origins a crawl asks: their robots.txt, and the sitemaps they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawl import keys, sitemaps
from crawl.frontier.verbs import Verbs

if TYPE_CHECKING:
    from crawl.records import CrawlOptions

_COUNT = (
    "if redis.call('EXISTS', KEYS[1]) == 1 then "
    "return redis.call('HINCRBY', KEYS[2], 'sitemaps listed', ARGV[1]) end"
)


class Origins(Verbs):
    """What Redis keeps of an origin's robots.txt, and how many sitemaps a crawl was led to."""

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

    def listed_sitemaps(self, count: int) -> int:
        """Add to how many sitemaps the crawl's indexes have listed, and return that; a repeated parse counts twice."""
        # A parse that ends late brings nothing of a deleted crawl back.
        counted = self.client.eval(_COUNT, 2, keys.crawl(self.crawl), keys.counts(self.crawl), count)
        return int(counted or 0)
