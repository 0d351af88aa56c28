"""What pages add to the frontier: the links and redirect targets that belong to the crawl. Pure; no I/O.

Workers ask it for each batch they have parsed, and the pump once more for pages that were parsed before the scope was
as wide as it is in the end (`producer/again.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from crawl import names, sitemaps, traps, urls
from crawl.links import Links
from crawl.records import FetchRequest
from crawl.scope import Scope, scope_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Protocol

    from crawl.records import CrawlOptions

    class Page(Protocol):
        """What of a page counts here, whether it has just been read or is a record."""

        @property
        def links(self) -> Sequence[str]:
            """Canonical URLs, in the order of the document."""

        @property
        def kind(self) -> str | None:
            """What was read (`sitemap` and others)."""


#: Directives of robots that keep us from following a page's links.
_NO_LINKS = frozenset({"nofollow", "none"})


def forbid_links(directives: Iterable[str]) -> bool:
    """Return whether a page's links are not to be followed."""
    return not _NO_LINKS.isdisjoint(directives)


def may_follow(options: CrawlOptions, directives: Iterable[str]) -> bool:
    """Return whether a crawl follows the links of a page with these directives."""
    return options.robots != "obey" or not forbid_links(directives)


class Admission:
    """Gathers, over one batch, the URLs to admit (`new`), what widens the scope, and what was refused by reason.

    `listed` adds to the crawl's count of sitemaps that indexes have listed, and returns it. `known` are fingerprints
    that need not be offered. With `only`, a scope of its own, what lies elsewhere is judged but not offered: it was
    when the page was parsed.
    """

    def __init__(
        self,
        options: CrawlOptions,
        scope: Scope,
        listed: Callable[[int], int],
        *,
        now_ms: int,
        known: set[int] | None = None,
        only: Scope | None = None,
    ) -> None:
        self.new = Links(finite=options.depth is not None, buckets=options.seen_buckets, known=known)
        self.scope_seeds: list[str] = []
        self.refused: dict[str, int] = {}
        #: Where seeds redirect to: such a page counts as a seed, also where a link has led to it before.
        self.heirs: list[str] = []
        self._options = options
        self._finite = options.depth is not None
        self._now_ms = now_ms
        self._only = only
        self._scope = scope
        self._listed = listed
        #: What this batch adds to the scope; everybody's only when the batch is completed.
        self._own_scope: Scope | None = None

    def redirect(self, request: FetchRequest, target: str) -> None:
        """Offer a redirect's target like a link, at the same depth and one hop further."""
        if request.via == names.SITEMAP:
            # Stays what it is, so that the chain of a sitemap may end in one, and never passes for a seed's.
            exempt = urls.host_of(target) == urls.host_of(request.url) and self._refusal(
                request.url, request.depth
            )
            self._offer(
                target,
                request,
                via=names.SITEMAP,
                depth=request.depth,
                hops=request.hops + 1,
                exempt=bool(exempt),
            )
            return
        if request.depth == 0 and request.via in (names.SEED, names.REDIRECT) and self._only is None:
            # A seed may live elsewhere by now (http to https, apex to www): its new place joins the scope.
            self._widen(target)
            if target not in self.heirs and self._refusal(target, request.depth) is None:
                # A link of the same batch may have led there first; those of others are seen by then.
                self.new.drop(urls.fingerprint(target), target)
            self.heirs.append(target)
        self._offer(target, request, via=names.REDIRECT, depth=request.depth, hops=request.hops + 1)

    def _widen(self, target: str) -> None:
        # What lies inside brings nothing along that does not: no entry, and nobody need look again for its sake.
        inside = self._scope.inside(target) or (
            self._own_scope is not None and self._own_scope.inside(target)
        )
        entry = None if inside else scope_entry(self._options.scope, target)
        if entry is not None:
            self.scope_seeds.append(entry)
            alone = msgspec.structs.replace(self._options, seeds=())
            self._own_scope = Scope(alone, self.scope_seeds)

    def links(self, request: FetchRequest, document: Page, *, follow: bool = True) -> None:
        """Offer a page's links, one level deeper; where the page forbids to follow them, none is admitted.

        What a sitemap lists stays on its level where that was a source.
        """
        if not follow:
            self._refuse("nofollow", len(document.links))
            return
        if document.kind == names.SITEMAP:
            self._sitemap(request, document.links)
            return
        for link in document.links:
            self._offer(link, request, via=names.LINK, depth=request.depth + 1, hops=0)

    def _sitemap(self, request: FetchRequest, found: Iterable[str]) -> None:
        """Offer what a sitemap lists: pages within the scope, and further sitemaps as an index lists them."""
        source = request.via == names.SITEMAP
        depth = request.depth if source else request.depth + 1
        further = []
        for target in found:
            if source and sitemaps.is_one(target):
                further.append(target)
            else:
                self._offer(target, request, via=names.SITEMAP, depth=depth, hops=0)
        if not further:
            return
        if request.hops >= self._options.max_redirects or self._listed(len(further)) > sitemaps.MOST_LISTED:
            self._refuse("sitemaps", len(further))
            return
        host = urls.host_of(request.url)
        for target in further:
            # An index on another host (robots.txt named it) has its parts there, too.
            exempt = urls.host_of(target) == host
            self._offer(target, request, via=names.SITEMAP, depth=depth, hops=request.hops + 1, exempt=exempt)

    def site(self, request: FetchRequest, declared: list[str]) -> None:
        """Offer the sitemaps of a seed's site: those its robots.txt declares, on any host, or else the usual place."""
        origin = urls.origin_of(request.url)
        told = msgspec.structs.replace(request, url=f"{origin}/robots.txt") if declared else request
        dropped = self._options.drop_query
        for sitemap in declared or [f"{origin}/sitemap.xml"]:
            target = urls.drop_query(sitemap, dropped) if dropped else sitemap
            self._offer(target, told, via=names.SITEMAP, depth=0, hops=0, exempt=True)

    def _refusal(self, target: str, depth: int) -> str | None:
        refusal = self._scope.refusal(target, depth)
        if refusal == "scope" and self._own_scope is not None:
            return self._own_scope.refusal(target, depth)
        return refusal

    def _refuse(self, reason: str, count: int = 1) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + count

    def _offer(
        self, target: str, request: FetchRequest, *, via: str, depth: int, hops: int, exempt: bool = False
    ) -> None:
        """Admit a URL unless the scope refuses it; what is `exempt` only has to pass the exclude patterns."""
        if self._scope.refusal(target, depth) is not None:
            refusal = self._refusal(target, depth)
            if refusal and exempt and refusal != "depth":
                refusal = "exclude" if self._scope.excluded(target) else None
            if refusal:
                self._refuse(refusal)
                return
        if self._only is not None and not self._only.inside(target):
            return
        fingerprint = self.new.offer(target)
        if fingerprint is None and self._finite and via != names.LINK:
            # Known, but maybe from further away: links lead a level down, redirects and sitemaps do not.
            fingerprint = urls.fingerprint(target)
        if fingerprint is not None:
            admitted = FetchRequest(
                url=target, depth=depth, via=via, parent=request.url, hops=hops, queued_ms=self._now_ms
            )
            self.hold(fingerprint, admitted)

    def hold(self, fingerprint: int, request: FetchRequest) -> None:
        """Hold a URL that belongs to the crawl for the frontier."""
        pattern = traps.pattern_of(request.url) if self._options.traps == "park" else None
        self.new.put(fingerprint, request, pattern)
