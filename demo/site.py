"""The whole site: from a seed, a host and a path to a page; nothing else decides its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demo.articles import PRINT_QUERY, SECTIONS, Network, has_print_version
from demo.behaviour import OK, Behaviour, Verdict
from demo.behaviours import behaviours, slow_pages
from demo.chance import DEFAULT_SEED, Dice, ordinary_latency
from demo.hosts import ALPHA, BETA, DELTA, GAMMA, ROUGH, SLOW, Host
from demo.misbehaviour import MISBEHAVIOURS
from demo.page import Link, Page, document, page
from demo.prose import paragraphs

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between two requests that gamma's robots.txt asks for.
GAMMA_CRAWL_DELAY_S = 0.2

#: beta has none and answers 404, which allows everything (RFC 9309 section 2.3.1.3).
ROBOTS = {
    ALPHA: "User-agent: *\nDisallow: /private/\n",
    GAMMA: f"User-agent: *\nCrawl-delay: {GAMMA_CRAWL_DELAY_S}\nDisallow:\n",
    DELTA: "User-agent: *\nAllow: /\n",
    SLOW: "User-agent: *\nDisallow:\n",
    ROUGH: "User-agent: *\nDisallow:\n",
}

#: Answered on every host for health checks, linked from nowhere.
HEALTH_PATH = "/healthz"


class DemoSite:
    """Every page of a seed, built when first asked for and kept: two huge ones, the rest a megabyte."""

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self.seed = seed
        self._network = Network(seed)
        self._builders: dict[tuple[str, str], Callable[[], Page]] = {}
        self._pages: dict[tuple[str, str], Page] = {}
        #: What a complete, polite crawl from `SEED_URL` records: canonical URL -> (outcome, reason).
        self.verdicts: dict[str, Verdict] = {}
        self._hosts = {host.name for host in (*ROBOTS, BETA)}
        for add in (
            self._add_fronts,
            self._add_articles,
            self._add_behaviours,
            self._add_rough,
            self._add_robots,
        ):
            add()

    def page(self, host: str, target: str) -> Page:
        """Return the answer to a path with its query, as the request line has it; 404 where there is none."""
        key = (host, target)
        known = self._pages.get(key)
        if known is None:
            builder = self._builders.get(key)
            if builder is None:
                return self._missing(host, target)
            known = self._pages[key] = builder()
        return known

    def targets(self) -> list[tuple[str, str]]:
        """Return host and path of everything served, except what the rough host does without pages."""
        return list(self._builders)

    def _missing(self, host: str, target: str) -> Page:
        """Return a 404, the same for the same URL; not kept, since anybody can ask for anything."""
        if target == HEALTH_PATH:
            return page("ok\n", content_type="text/plain; charset=utf-8")
        if host not in self._hosts:
            return page(
                f"No host of this site: {host}\n", status=421, content_type="text/plain; charset=utf-8"
            )
        markup = document("Not found", ["There is no such pool."], [Link("/", "Front page")])
        return page(markup, status=404)

    def _add(self, host: Host, target: str, build: Callable[[], Page], verdict: Verdict | None = OK) -> None:
        self._builders[host.name, target] = build
        if verdict is not None:
            self.verdicts[host.origin + target] = verdict

    def _add_front(self, host: Host, title: str, links: list[Link], path: str = "/") -> None:
        def build() -> Page:
            url = host.origin + path
            dice = Dice(self.seed, "front", url)
            markup = document(title, paragraphs(dice, 3), links, description=title, canonical=url)
            return page(markup, latency_s=ordinary_latency(self.seed, url))

        self._add(host, path, build)

    def _add_fronts(self) -> None:
        """Add each host's front page; alpha's leads to all the others."""
        fronts = [Link(section.host.origin + "/", section.title) for section in SECTIONS]
        for section in SECTIONS:
            below = [Link(each.path, each.title) for each in self._network.children(section.host, 0)]
            others = [link for link in fronts if link.text != section.title]
            extra: list[Link] = []
            if section.host == ALPHA:
                extra = [Link(each.url, each.what) for each in slow_pages()]
                extra += [
                    Link(SLOW.origin + "/", "Slow pages"),
                    Link("/behaviours", "Pages named after their behaviour"),
                    Link(ROUGH.origin + "/", "Pages that break HTTP"),
                ]
            self._add_front(section.host, section.title, [*below, *others, *extra])
        self._add_front(
            SLOW, "Ten pages that take their time", [Link(each.path, each.what) for each in slow_pages()]
        )

    def _add_articles(self) -> None:
        for articles in self._network.articles.values():
            for article in articles:
                self._add(article.host, article.path, lambda article=article: self._network.page(article))  # type: ignore[misc]
                if has_print_version(article):
                    self._add(
                        article.host,
                        article.path + PRINT_QUERY,
                        lambda article=article: self._network.page(article, printed=True),  # type: ignore[misc]
                    )

    def _add_behaviours(self) -> None:
        every = behaviours()
        self._add_front(
            ALPHA,
            "Pages named after their behaviour",
            [Link(each.url, each.what) for each in every if each.listed],
            "/behaviours",
        )
        for each in [*slow_pages(), *every]:
            self._add_behaviour(each)

    def _add_behaviour(self, each: Behaviour) -> None:
        self._add(each.host, each.path, lambda: each.build(self.seed), each.verdict)

    def _add_rough(self) -> None:
        self._add_front(
            ROUGH, "Pages that break HTTP", [Link(each.path, each.what) for each in MISBEHAVIOURS]
        )
        self._add_front(ROUGH, "Behind the bomb", [Link("/", "All of them")], "/after-the-bomb")
        for each in MISBEHAVIOURS:
            self.verdicts[each.url] = (each.outcome, each.reason)

    def _add_robots(self) -> None:
        for host, text in ROBOTS.items():
            answer = page(text, content_type="text/plain; charset=utf-8")
            self._add(host, "/robots.txt", lambda answer=answer: answer, None)  # type: ignore[misc]
