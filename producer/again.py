"""Second looks: before a crawl ends, records are judged once more by what was learned after their pages were parsed.

The set of pages must not depend on who was faster, but a page is parsed when it comes. Three things may come too late
for it, and each is noted when it does (fields `look_...` of the crawl's hash), so that a crawl to which none happens is
not looked at:

- **The scope** became wider, by a seed's redirect or by seeds that came while the crawl ran, after links had been
  refused for it. The records up to then offer their links again.
- **An heir**: a seed redirects to a page to which a link had led before, or a stream brings such a seed. It has its
  record as a linked page, but counts as a seed from now on: where it redirects to joins the scope, and the sitemaps of
  its origin are admitted. One that has failed is an heir still when it is tried again.
- **A level** (`levels.py`), with a finite depth: a redirect or a sitemap leads to a page that links had found further
  away.

A look admits through the seen set and takes its note away at its end, so one that is killed is done anew. Records that
were trimmed cannot be looked at; then it says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from crawl import names, tombstones, urls
from crawl.admission import Admission
from crawl.records import FetchRequest
from crawl.scope import Scope
from producer import levels
from producer.past import SLICE, Past

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crawl.frontier import Frontier

#: Fingerprints remembered within one look, so that what every page links to is offered once.
KNOWN_LIMIT = 500_000


class SecondLook:
    """Takes second looks at one crawl, a slice per `step`, so that what they find is crawled meanwhile."""

    def __init__(self, frontier: Frontier, say: Callable[[str], None] = lambda _: None) -> None:
        self._frontier = frontier
        self._say = say
        self._slices: Iterator[None] | None = None
        self._told = False

    def step(self, *, ended: bool) -> bool:
        """Look at some records, if a look is under way or, the crawl having `ended`, one is due; return whether it was.

        After a call that failed (Redis away) the look begins anew.
        """
        if self._slices is None:
            self._slices = self._begin() if ended else None
            if self._slices is None:
                return False
        if next(self._slices, self) is self:
            self._slices = None
        return True

    def _begin(self) -> Iterator[None] | None:
        look = self._frontier.look_due()
        stored = self._frontier.options() if look.due else None
        if stored is None:
            return None
        trimmed = tombstones.count(self._frontier.client, self._frontier.crawl)
        if trimmed and not self._told:
            self._told = True
            self._say(
                f"the crawl's records are looked at once more, but for {trimmed} that were trimmed: what those pages "
                "link to may be missing"
            )
        past = Past(self._frontier, stored[0], look)
        if look.heirs:
            return _heirs(past)
        if look.until is not None:
            return _scope(past, look.until, self._say)
        return levels.look(past)


def _scope(past: Past, until: str, say: Callable[[str], None]) -> Iterator[None]:
    """Look at the records up to a stream entry for what lies inside by now and did not then."""
    frontier, options = past.frontier, past.options
    late = Scope(msgspec.structs.replace(options, seeds=()), past.entries[past.look.known :])
    if options.depth is not None:
        frontier.look_at_levels(past.look)
    refused = admitted = 0
    # With a finite depth, what is offered twice may be nearer the second time.
    known: set[int] | None = set() if options.depth is None else None
    for part in past.records(until=until):
        again = Admission(options, past.scope, past.counted, now_ms=past.now_ms(), known=known, only=late)
        for record in part:
            past.offer(again, record, record.depth, late)
        new, kept_out = frontier.admit_late(again.new, options)
        admitted += new
        if known is not None and not kept_out:
            if len(known) > KNOWN_LIMIT:
                known.clear()
            known |= again.new.fingerprints
        refused += again.refused.get("scope", 0)
        yield
    # Where records are gone, nobody knows what they refuse; the count stays as it was.
    if frontier.looked(past.look, refused if past.whole else None) and admitted:
        say(f"{admitted} links that were refused before the scope was widened belong to the crawl after all")


def _heirs(past: Past) -> Iterator[None]:
    """Let pages count as seeds to which links had led before it was known, and where those redirect to.

    One that has failed says nothing of that yet; it is kept for a retry.
    """
    frontier, options = past.frontier, past.options
    heirs = dict.fromkeys(frontier.heirs())
    failed: set[str] = set()
    if options.depth is not None:
        frontier.look_at_levels(past.look)
    waiting, done = list(heirs), set(heirs)
    while waiting:
        again = Admission(options, past.scope, past.counted, now_ms=past.now_ms())
        for heir, record in past.records_of(waiting[:SLICE]):
            # Noted by itself, where a link was not the first that led there.
            heirs[heir] = None
            if record.is_seed:
                continue
            if record.outcome not in ("ok", "redirect"):
                failed.add(heir)
            request = FetchRequest(
                url=record.url, via=names.REDIRECT, parent=record.parent, hops=past.hops(record)
            )
            if record.outcome == "redirect" and record.redirect_to is not None:
                again.redirect(request, record.redirect_to)
            if options.sitemaps:
                declared = frontier.site(options, urls.origin_of(record.url))
                if declared is not None:
                    again.site(request, declared)
        frontier.admit_late(again.new, options, scope_seeds=again.scope_seeds, heirs=again.heirs)
        further = dict.fromkeys(str(urls.fingerprint(heir)) for heir in again.heirs)
        waiting = waiting[SLICE:] + [heir for heir in further if heir not in done]
        done |= further.keys()
        yield
    frontier.inherited(list(heirs), failed)
