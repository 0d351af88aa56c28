"""Small sites that are crawled in many orders, without a broker and without the web.

The stand-in asks nobody: it takes batches through the real frontier, judges pages by the real admission, and decides
itself which of the open batches is loaded or completed next.
"""

from __future__ import annotations

import standin

from crawl import names, results
from crawl.admission import Admission, may_follow
from crawl.batches import Result
from crawl.records import PageRecord, to_json
from crawl.scope import Scope
from producer.again import SecondLook
from producer.seeds import Intake


class Page:
    """What a URL of a site answers: links, or where it redirects to; `kind` as in records."""

    def __init__(self, *links, to=None, kind="html", robots=()):
        self.links = list(links)
        self.to = to
        self.kind = kind
        self.robots = list(robots)


class Crawler:
    """Crawls a site in an order that `choose` decides: it gets the open batches and returns the index of one.

    Pages that are `down` time out. `meanwhile` is called after each step of a second look.
    """

    def __init__(self, frontier, options, site, choose, *, down=(), meanwhile=lambda: None):
        self.frontier = frontier
        self.options = options
        self.site = site
        self.choose = choose
        self.down = set(down)
        self.meanwhile = meanwhile
        self.looks = 0

    def run(self, *, steps=None):
        """Crawl to the end, or until so many steps of second looks were taken."""
        look = SecondLook(self.frontier)
        opened = []
        while True:
            leased = self.frontier.lease(self.options, window=10, slots=4)
            opened += [(batch, None, None) for batch in leased.batches]
            if opened:
                batch, loaded, judged = opened.pop(self.choose(opened))
                if loaded is None:
                    opened.append((batch, *self.load(batch)))
                else:
                    self.complete(loaded, judged)
                continue
            if look.step(ended=leased.ended):
                self.looks += 1
                if steps is not None and self.looks >= steps:
                    return None
                self.meanwhile()
                continue
            state = self.frontier.finish()
            if state == names.FINISHED:
                return state

    def load(self, batch):
        """Take a batch to where it is judged; return it and what judges it."""
        started = standin.start(self.frontier, batch, self.options)
        standin.fetched(self.frontier, started, self.options)
        loaded = standin.load(self.frontier, batch.lease, self.options)
        scope = Scope(self.options, self.frontier.scope_seeds(0, loaded.scope_count))
        judged = Admission(self.options, scope, self.frontier.listed_sitemaps, now_ms=loaded.now_ms)
        return loaded, judged

    def complete(self, loaded, judged):
        """Judge a batch and close it."""
        done = []
        for request in loaded.requests:
            page = self.site.get(request.url, Page())
            record = PageRecord(
                crawl=self.frontier.crawl,
                url=request.url,
                via=request.via,
                parent=request.parent,
                depth=request.depth,
                attempts=1,
                outcome="redirect" if page.to else "ok",
                redirect_to=page.to,
                links=page.links,
                kind=page.kind,
                robots=page.robots,
                generation=request.generation,
            )
            if request.url in self.down:
                record.outcome, record.reason = "failed", "timeout"
                record.redirect_to, record.links = None, []
            elif page.to:
                judged.redirect(request, page.to)
            else:
                judged.links(request, page, follow=may_follow(self.options, page.robots))
            if self.options.sitemaps and request.depth == 0 and request.via in (names.SEED, names.REDIRECT):
                judged.site(request, [])
            told = (record.outcome, record.reason, to_json(record), request.generation)
            done.append(Result(request.url, request.depth, *told))
        self.frontier.complete(
            loaded.lease,
            done,
            [],
            judged.new,
            options=self.options,
            scope_seeds=judged.scope_seeds,
            scope_count=loaded.scope_count,
            refused=judged.refused,
            heirs=judged.heirs,
        )


def submit(frontier, options):
    """Make a crawl of the seeds that its options name."""
    frontier.create(options)
    intake = Intake(frontier, options)
    intake.admit_named()
    intake.close()


def outcome(frontier):
    """Return the URLs with a record, and how many links were refused by reason."""
    pages = sorted(standin.url_of(line) for _, line in results.lines(frontier.client, frontier.crawl))
    return pages, results.status(frontier.client, frontier.crawl).refused


def short_cuts(host):
    """Return a site of which pages lie nearer by a redirect and by a sitemap than by links."""
    a, b = f"http://a.{host}/", f"http://b.{host}/"
    return (a, b), {
        a: Page(a + "moved", a + "listed", a + "far"),
        b: Page(to=a + "moved"),
        a + "sitemap.xml": Page(a + "listed", kind="sitemap"),
        a + "moved": Page(a + "1", a + "2"),
        a + "listed": Page(a + "2", a + "hop"),
        a + "hop": Page(to=a + "3"),
        a + "1": Page(a + "4"),
        a + "2": Page(a + "far"),
        a + "far": Page(a + "5", a + "6"),
        a + "5": Page(a + "7"),
        a + "3": Page(a + "4", a + "8"),
        a + "4": Page(a + "9"),
        a + "8": Page(a + "9"),
    }
