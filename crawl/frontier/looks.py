"""Second looks: what was learned too late for the pages before it, and what comes of that (`producer/again.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crawl import keys
from crawl.batches import Look
from crawl.frontier.verbs import NEARER_KEPT, Verbs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from crawl.links import Links
    from crawl.records import CrawlOptions


class Looks(Verbs):
    """The verbs that say which second looks are due, and end them."""

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
        self,
        links: Links,
        options: CrawlOptions,
        *,
        scope_seeds: Iterable[str] = (),
        heirs: Sequence[str] = (),
        mark: bool = True,
    ) -> tuple[int, int]:
        """Admit what a second look found; return how many were new, and how many a cap or a budget kept out.

        Of the `heirs` it found, those that were known are noted before.
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
            if heirs:
                arguments.update(self._heirs(heirs, options))
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

    def heirs(self) -> list[str]:
        """Return fingerprints of what counts as a seed and was known before, but for what has failed."""
        return [member.decode() for member in self.client.sscan_iter(keys.heirs(self.crawl), count=1000)]

    def inherited(self, heirs: Sequence[str], failed: AbstractSet[str] = frozenset()) -> None:
        """Forget heirs that were looked at; the look is over unless others have come, or some were tried again.

        Those that had `failed` are kept apart for a retry.
        """
        for first in range(0, len(heirs), 1000):
            part = list(heirs[first : first + 1000])
            self._run(
                "looked",
                heirs=part,
                key=keys.heirs(self.crawl),
                failed=[heir for heir in part if heir in failed],
                failed_key=keys.failed_heirs(self.crawl),
                retried=keys.retried(self.crawl),
            )

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
