"""The generated site: the same everywhere, all of it reachable, pages of the promised size."""

from __future__ import annotations

import hashlib
import re

import pytest

from lab import site


@pytest.fixture(name="small", scope="module")
def _small(tmp_path_factory):
    return site.generate(tmp_path_factory.mktemp("site"), pages=300, seed=1)


def _links(html: str) -> list[str]:
    return re.findall(r'href="([^"]+)"', html)


def _file(root, path):
    return root / ("index.html" if path == "/" else path[1:])


def test_one_seed_always_gives_the_same_bytes(tmp_path, small):
    """Numbers of different machines and days are about the same pages."""
    again = site.generate(tmp_path, pages=300, seed=1)

    assert small.bytes == again.bytes
    assert _digest(small.root) == _digest(again.root)
    # Pinned, so that a change of the generator is seen: old numbers are then about another site.
    assert _digest(again.root)[:16] == "da877b123c6a0aa4"


def test_another_seed_gives_another_site(tmp_path, small):
    """The seed is not decoration."""
    other = site.generate(tmp_path, pages=300, seed=2)

    assert _digest(small.root) != _digest(other.root)


def test_every_page_is_reached_from_the_index(small):
    """A crawl of the index can find all pages, so their number can be checked."""
    found, waiting = {"/"}, ["/"]
    while waiting:
        for path in _links(_file(small.root, waiting.pop()).read_text()):
            if path not in found:
                found.add(path)
                waiting.append(path)

    assert found == {site.page_path(n) for n in range(300)}


def test_every_page_has_20_links_and_10_to_20_kilobytes(small):
    """The site is the one the acceptance names."""
    for number in range(300):
        path = site.page_path(number)
        body = _file(small.root, path).read_bytes()
        links = _links(body.decode("ascii"))

        assert site.LINKS == len(links) == len(set(links)), path
        assert path not in links
        assert site.MIN_BYTES <= len(body) <= site.MAX_BYTES, path


def test_a_site_smaller_than_a_pages_links_links_all_of_it(tmp_path):
    """A few pages are enough for a quick look."""
    site.generate(tmp_path, pages=6)

    for number in range(6):
        others = {site.page_path(n) for n in range(6)} - {site.page_path(number)}

        assert others == set(_links(_file(tmp_path, site.page_path(number)).read_text()))


def test_robots_txt_allows_everything(small):
    """A crawler that obeys robots.txt does the same work as one that does not."""
    assert (small.root / "robots.txt").read_text() == "User-agent: *\nAllow: /\n"


def _digest(root) -> str:
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.html")):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
