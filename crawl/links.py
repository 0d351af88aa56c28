"""New links on their way into the frontier, cut into calls that Redis answers quickly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawl import records, urls

if TYPE_CHECKING:
    from crawl.records import CrawlOptions, FetchRequest

    #: Bucket, fingerprint, entry, and the pattern where there is one.
    Link = tuple[int, str, str] | tuple[int, str, str, str]
    #: Level, origin and links.
    Group = tuple[int, str, list[Link]]

#: Links per `add` or `complete` call, so that no call holds Redis for long.
LINKS_PER_CALL = 1000
#: Bytes of links per call; long URLs fill one before a thousand do.
LINK_BYTES_PER_CALL = 256 * 1024


class Links:
    """New links on their way into the frontier, grouped by level and origin."""

    def __init__(self, *, finite: bool, buckets: int, known: set[int] | None = None) -> None:
        self._finite = finite
        self._buckets = buckets
        self._known = known
        self._groups: dict[tuple[int, str], list[Link]] = {}
        self.fingerprints: set[int] = set()

    def __len__(self) -> int:
        """Return how many links are held."""
        return len(self.fingerprints)

    def offer(self, url: str) -> int | None:
        """Return the URL's fingerprint if it may be new, else None."""
        fingerprint = urls.fingerprint(url)
        if fingerprint in self.fingerprints or (self._known is not None and fingerprint in self._known):
            return None
        return fingerprint

    def put(self, fingerprint: int, request: FetchRequest, pattern: str | None = None) -> None:
        """Hold a request whose URL `offer` found worth it; `pattern` (`traps.pattern_of`) is what it counts for."""
        level = request.depth if self._finite else 0
        group = self._groups.setdefault((level, urls.origin_of(request.url)), [])
        link = (fingerprint % self._buckets, str(fingerprint), records.encode_entry(request))
        group.append(link if pattern is None else (*link, pattern))
        self.fingerprints.add(fingerprint)

    def drop(self, fingerprint: int, url: str) -> None:
        """Let go of a URL that is held, if it is: another way leads there that says more."""
        if fingerprint not in self.fingerprints:
            return
        self.fingerprints.discard(fingerprint)
        origin = urls.origin_of(url)
        for (_, held_at), links in self._groups.items():
            if held_at == origin:
                links[:] = [link for link in links if link[1] != str(fingerprint)]

    def slices(self) -> list[list[Group]]:
        """Return the groups cut into calls of at most `LINKS_PER_CALL` links and `LINK_BYTES_PER_CALL` bytes of them.

        There is always one call, which is empty when no link is held.
        """
        calls: list[list[Group]] = [[]]
        room, space = LINKS_PER_CALL, LINK_BYTES_PER_CALL
        for (level, origin), links in self._groups.items():
            part: list[Link] = []
            for link in links:
                size = len(link[2])
                if room == 0 or size > space:
                    part = []
                    calls.append([])
                    room, space = LINKS_PER_CALL, LINK_BYTES_PER_CALL
                if not part:
                    calls[-1].append((level, origin, part))
                part.append(link)
                room -= 1
                space -= size
        return calls


def level_of(options: CrawlOptions, depth: int) -> int:
    """Return the level a depth is served at: strict levels only where the depth is limited."""
    return depth if options.depth is not None else 0
