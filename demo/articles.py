"""The ordinary part of the site: a network of articles over four hosts.

Each host's articles form a tree below its front page, so everything is reachable; further links go across the
tree and to other hosts. References are written in every way that pages write them: absolute, without scheme,
from the root, relative, with a fragment.
"""

from __future__ import annotations

import posixpath
from typing import NamedTuple

from demo.chance import Dice, ordinary_latency
from demo.hosts import ALPHA, BETA, DELTA, GAMMA, Host
from demo.page import Link, Page, document, page
from demo.prose import paragraphs, pool_name, sentence

#: Children of an article in its host's tree; the tree of the largest host is then four levels deep.
BRANCHES = 6
#: Links across the tree within a host, and to other hosts, per article.
ACROSS = 3
ABROAD = 2

#: Every tenth register page has a version for printing, which names the plain one as canonical.
PRINT_EVERY = 10
PRINT_QUERY = "?view=print"


class Section(NamedTuple):
    """One host's articles; gamma is small because its robots.txt asks for a pause between requests."""

    host: Host
    articles: int
    title: str


SECTIONS = (
    Section(ALPHA, 64, "The Atlas of Pools"),
    Section(BETA, 60, "A Swimmer's Diary"),
    Section(GAMMA, 17, "The Quiet Archive"),
    Section(DELTA, 56, "The Lane Register"),
)


class Article(NamedTuple):
    """One article; `number` counts from 1 within its host."""

    host: Host
    number: int
    path: str
    title: str
    lang: str

    @property
    def url(self) -> str:
        """Canonical URL."""
        return self.host.origin + self.path


class Network:
    """All articles of a seed, and the links between them."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.sections = {section.host: section for section in SECTIONS}
        self.articles = {
            section.host: [self._article(section.host, number) for number in range(1, section.articles + 1)]
            for section in SECTIONS
        }

    def _article(self, host: Host, number: int) -> Article:
        dice = Dice(self._seed, "article", host.name, str(number))
        name = pool_name(dice)
        slug = name.lower().replace(" ", "-")
        path = {
            ALPHA: f"/pools/{slug}-{number}",
            BETA: f"/diary/{dice.between(2019, 2026)}/{dice.between(1, 12):02}/{slug}-{number}",
            GAMMA: f"/archive/{number}.html",
            DELTA: f"/lanes/{number}/",
        }[host]
        lang = dice.choose(("en", "en", "en", "en", "de", "fr")) if host in (BETA, GAMMA) else "en"
        return Article(host, number, path, f"{name}, no. {number}", lang)

    def children(self, host: Host, number: int) -> list[Article]:
        """Return the articles right below one in its host's tree; those below 0 hang on the front page."""
        return self.articles[host][number * BRANCHES : (number + 1) * BRANCHES]

    def anywhere(self, dice: Dice, host: Host | None = None) -> Article:
        """Return some article, of one host if given."""
        return dice.choose(self.articles[host or dice.choose(SECTIONS).host])

    def links(self, article: Article) -> list[Link]:
        """Return an article's links, in the order they stand in the page."""
        dice = Dice(self._seed, "links", article.url)
        section = self.sections[article.host]
        targets = self.children(article.host, article.number)
        targets += [self.anywhere(dice, article.host) for _ in range(ACROSS)]
        targets += [self.anywhere(dice) for _ in range(ABROAD)]
        found = [Link(self._written(dice, article, target), target.title) for target in targets]
        found.insert(dice.between(0, len(found)), Link("/", section.title))
        if has_print_version(article):
            found.append(Link(PRINT_QUERY, "for printing"))
        return found

    def _written(self, dice: Dice, page_on: Article, target: Article) -> str:
        fragment = "#history" if dice.fraction() < 0.1 else ""
        if page_on.host != target.host:
            return (target.url if dice.fraction() < 0.7 else target.url.removeprefix("http:")) + fragment
        way = dice.choose(("root", "root", "relative", "absolute"))
        if way == "relative":
            return relative(page_on.path, target.path) + fragment
        return (target.url if way == "absolute" else target.path) + fragment

    def page(self, article: Article, *, printed: bool = False) -> Page:
        """Return an article's page; the printed version has the same words and fewer links."""
        dice = Dice(self._seed, "text", article.url)
        links = self.links(article)
        # One to about fifteen kilobytes: mostly short, a few long.
        count = 3 + int(dice.fraction() ** 2 * 29)
        markup = document(
            article.title,
            paragraphs(dice, count, article.lang),
            links[:3] if printed else links,
            lang=article.lang,
            description=sentence(dice, article.lang) if dice.fraction() < 0.8 else None,
            canonical=article.url if printed or article.number % 4 == 0 else None,
            nav=()
            if printed
            else (Link("/", self.sections[article.host].title), Link("http://alpha.demo.test/", "Atlas")),
        )
        url = article.url + (PRINT_QUERY if printed else "")
        return page(markup, latency_s=ordinary_latency(self._seed, url))


def has_print_version(article: Article) -> bool:
    """Return whether an article is also served with `PRINT_QUERY`."""
    return article.host == DELTA and article.number % PRINT_EVERY == 0


def relative(base: str, target: str) -> str:
    """Return a path as a reference relative to another path's directory."""
    found = posixpath.relpath(target, base.rpartition("/")[0] or "/")
    return found + "/" if target.endswith("/") else found
