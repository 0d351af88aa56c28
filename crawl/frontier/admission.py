"""URLs into the frontier: as seeds and links, out of what is parked, and again after they failed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from crawl import keys, records, urls
from crawl.frontier.verbs import NEARER_KEPT, Verbs
from crawl.links import level_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crawl.batches import Again
    from crawl.links import Links
    from crawl.records import CrawlOptions

#: Entries of the scope read per call; the lot may be a hundred thousand.
SCOPE_SEEDS_PER_CALL = 10_000
#: URLs admitted again per call.
RETRIED_PER_CALL = 500


class Admission(Verbs):
    """The verbs by which URLs come to wait, and what widens the scope that they are judged by."""

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
            arguments["heirs"] = keys.heirs(self.crawl)
            new, more, found = self._run("release", **arguments)
            admitted, capped, state = admitted + new, capped + more, state or found.decode()
        return admitted, capped, state

    def retry(
        self, again: Iterable[Again], generation: int, *, options: CrawlOptions
    ) -> tuple[int, int, set[str], str]:
        """Admit URLs again that have a record, in a generation; hosts and robots.txt that failed get a new chance.

        Returns how many were admitted, how many wait already (of an earlier `retry`), the fingerprints of those that
        have another record by now, and the crawl's state before; a finished one is reopened. At most `RETRIED_PER_CALL`
        at once.
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
            heirs=keys.heirs(self.crawl),
            failed_heirs=keys.failed_heirs(self.crawl),
            groups=[(level, origin, rows) for (level, origin), rows in groups.items()],
        )
        return admitted, waiting, {each.decode() for each in changed}, state.decode()

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
