"""What a parsed batch adds to the frontier: the links and redirect targets that belong to the crawl."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawl import names, traps, urls
from crawl.links import Links
from crawl.records import FetchRequest

if TYPE_CHECKING:
    from crawl.batches import Loaded
    from worker.parse import Document
    from worker.process import Terms


class Admission:
    """Gathers, over one batch, the URLs to admit (`new`), what widens the scope, and what was refused by reason."""

    def __init__(self, terms: Terms, loaded: Loaded) -> None:
        options = terms.options
        self.new = Links(finite=options.depth is not None, buckets=options.seen_buckets, known=terms.known)
        self.scope_seeds: list[str] = []
        self.refused: dict[str, int] = {}
        self._options = options
        self._loaded = loaded
        self._scope = terms.scope(loaded.scope_seeds)

    def redirect(self, request: FetchRequest, target: str) -> None:
        """Offer a redirect's target like a link, at the same depth and one hop further."""
        if request.depth == 0 and request.via in (names.SEED, names.REDIRECT):
            # A seed may live elsewhere by now (http to https, apex to www): its new place joins the scope.
            self.scope_seeds.append(target)
            self._scope = urls.Scope(self._options, (*self._loaded.scope_seeds, *self.scope_seeds))
        self._offer(target, request, via=names.REDIRECT, depth=request.depth, hops=request.hops + 1)

    def links(self, request: FetchRequest, document: Document) -> None:
        """Offer a page's links, one level deeper."""
        for link in document.links:
            self._offer(link, request, via=names.LINK, depth=request.depth + 1, hops=0)

    def _offer(self, target: str, request: FetchRequest, *, via: str, depth: int, hops: int) -> None:
        refusal = self._scope.refusal(target, depth)
        if refusal:
            self.refused[refusal] = self.refused.get(refusal, 0) + 1
            return
        fingerprint = self.new.offer(target)
        if fingerprint is not None:
            admitted = FetchRequest(
                url=target, depth=depth, via=via, parent=request.url, hops=hops, queued_ms=self._loaded.now_ms
            )
            pattern = traps.pattern_of(target) if self._options.traps == "park" else None
            self.new.put(fingerprint, admitted, pattern)
