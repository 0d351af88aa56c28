"""What a parsed batch adds to the frontier: the links and redirect targets that belong to the crawl."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from crawl import names, traps, urls
from crawl.links import Links
from crawl.records import FetchRequest
from crawl.scope import Scope, scope_entry
from worker import sitemaps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crawl.batches import Loaded
    from worker.parse import Document
    from worker.process import Terms


class Admission:
    """Gathers, over one batch, the URLs to admit (`new`), what widens the scope, and what was refused by reason.

    `listed` adds to the crawl's count of sitemaps that indexes have listed, and returns it.
    """

    def __init__(self, terms: Terms, loaded: Loaded, scope: Scope, listed: Callable[[int], int]) -> None:
        options = terms.options
        self.new = Links(finite=options.depth is not None, buckets=options.seen_buckets, known=terms.known)
        self.scope_seeds: list[str] = []
        self.refused: dict[str, int] = {}
        self._options = options
        self._loaded = loaded
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
        if request.depth == 0 and request.via in (names.SEED, names.REDIRECT):
            # A seed may live elsewhere by now (http to https, apex to www): its new place joins the scope.
            self._widen(target)
        self._offer(target, request, via=names.REDIRECT, depth=request.depth, hops=request.hops + 1)

    def _widen(self, target: str) -> None:
        entry = scope_entry(self._options.scope, target)
        if entry is not None:
            self.scope_seeds.append(entry)
            alone = msgspec.structs.replace(self._options, seeds=())
            self._own_scope = Scope(alone, self.scope_seeds)

    def links(self, request: FetchRequest, document: Document, *, follow: bool = True) -> None:
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
        fingerprint = self.new.offer(target)
        if fingerprint is not None:
            admitted = FetchRequest(
                url=target, depth=depth, via=via, parent=request.url, hops=hops, queued_ms=self._loaded.now_ms
            )
            pattern = traps.pattern_of(target) if self._options.traps == "park" else None
            self.new.put(fingerprint, admitted, pattern)
