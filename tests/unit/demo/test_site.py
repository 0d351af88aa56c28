"""The site's content: a pure function of seed and URL, and all of it reachable."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import zlib
from collections import Counter
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING

import pytest
from selectolax.lexbor import LexborHTMLParser

from crawl import urls
from demo import HOSTS, SEED_URL, resolve_map
from demo.articles import Network
from demo.behaviours import SLOW_GAP_S, slow_pages
from demo.charsets import PAGES
from demo.expected import (
    EXPECTED,
    NEVER_ASKED,
    RECOVERING,
    RETRIED,
    TITLES,
    expected_counts,
    expected_records,
)
from demo.hosts import GAMMA, ROUGH, SLOW
from demo.misbehaviour import MISBEHAVIOURS
from demo.site import DemoSite

if TYPE_CHECKING:
    from demo.page import Page

#: SHA-256 over host, target and decompressed body of everything the default seed serves. It changes only when the
#: site's content is changed on purpose.
GOLDEN = "9ac3ce7388e078ac800bdb44ae3d8fbcbc0087b42db7214f84ffe411f38a78c2"


def body_of(page: Page) -> bytes:
    """Return a page's decompressed body."""
    coding = dict(page.headers).get("Content-Encoding")
    return {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(coding or "", bytes)(page.body)


def digest(site: DemoSite) -> str:
    """Return one number for everything a site serves."""
    total = sha256()
    for host, target in sorted(site.targets()):
        page = site.page(host, target)
        total.update(
            f"{host} {target} {page.status} {page.latency_s}\n".encode() + sha256(body_of(page)).digest()
        )
    return total.hexdigest()


@pytest.fixture(scope="module")
def site() -> DemoSite:
    return DemoSite()


class TestDeterminism:
    """Bytes and latencies depend on the seed and the URL only."""

    def test_every_page_has_the_bytes_it_always_had(self, site):
        """Content does not drift by Python version, machine or accident."""
        assert digest(site) == GOLDEN

    @pytest.mark.parametrize("hash_seed", ["1", "4242"])
    def test_another_process_makes_the_same_pages(self, site, hash_seed):
        """No byte depends on a process's hash seed."""
        program = (
            "from hashlib import sha256\nfrom demo.site import DemoSite\nsite = DemoSite()\n"
            "print(sha256(b''.join(site.page(*key).body for key in sorted(site.targets()))).hexdigest())"
        )
        here = sha256(b"".join(site.page(*key).body for key in sorted(site.targets()))).hexdigest()

        ran = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )

        assert ran.stdout.strip() == here

    def test_another_seed_is_another_site(self, site):
        """The seed decides names, texts and links."""
        assert DemoSite(1).page("alpha.demo.test", "/").body != site.page("alpha.demo.test", "/").body

    def test_order_of_asking_changes_nothing(self, site):
        """A page does not depend on which pages were made before it."""
        other = DemoSite()
        for key in reversed(other.targets()):
            assert other.page(*key) == site.page(*key)


def reference_crawl(site: DemoSite) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Walk the site without any HTTP; return each admitted URL's fate and each page's links."""
    fates: dict[str, str] = {}
    links: dict[str, list[str]] = {}
    todo = [(SEED_URL, 0)]
    seen = {SEED_URL}
    rough = {each.url for each in MISBEHAVIOURS}

    def admit(target: str | None, hops: int) -> None:
        if target and target not in seen and urls.host_of(target).endswith(".demo.test"):
            seen.add(target)
            todo.append((target, hops))

    while todo:
        url, hops = todo.pop(0)
        if url in rough:
            fates[url] = "rough"
            continue
        if "//alpha.demo.test/private/" in url:
            fates[url] = "denied"
            continue
        origin = urls.origin_of(url)
        page = site.page(urls.host_of(url), url.removeprefix(origin))
        headers = dict(page.headers)
        if "Location" in headers:
            target = urls.join(url, headers["Location"])
            fates[url] = "too many" if target == url or hops >= 10 else "redirect"
            if fates[url] == "redirect":
                admit(target, hops + 1)
        else:
            fates[url] = str(page.status)
            if (
                page.status == 200
                and "html" in headers.get("Content-Type", "html")
                and len(page.body) < 10 << 20
            ):
                tree = LexborHTMLParser(body_of(page).decode("utf-8", "replace").replace("\0", ""))
                base = tree.css_first("base")
                references = [node.attributes.get("href") or "" for node in tree.css("a[href]")]
                links[url] = urls.join_all(url, references, base.attributes["href"] if base else None)
                for link in links[url]:
                    admit(link, 0)
    return fates, links


class TestNetwork:
    """What a crawl finds."""

    def test_everything_expected_is_reachable_and_nothing_else(self, site):
        """A walk from the seed URL meets exactly the URLs that have an expected record, with the same fate."""
        fates, _ = reference_crawl(site)
        expected = expected_records()
        # The rough redirect's target is linked by nothing else.
        hidden = {f"{ROUGH.origin}/after-the-bomb"}

        assert set(fates) | hidden == set(expected)
        for url, fate in fates.items():
            outcome, reason = expected[url]
            assert fate in {
                ("ok", None): {"200"},
                ("redirect", None): {"redirect", "rough"},
                ("failed", "http"): {"403", "404", "410", "500"},
                ("failed", "redirects"): {"too many"},
                ("failed", "too_large"): {"200", "rough"},
                ("skipped", "content_type"): {"200"},
                ("skipped", "robots"): {"denied"},
            }.get((outcome, reason), {"rough"}), url

    def test_a_complete_crawl_has_three_hundred_records(self):
        """The counts that the README and other tests quote."""
        counts = expected_counts()

        assert counts.total() == 300
        assert counts == {
            ("ok", None): 246,
            ("redirect", None): 24,
            ("failed", "http"): 4,
            ("failed", "redirects"): 2,
            ("failed", "reset"): 6,
            ("failed", "timeout"): 3,
            ("failed", "protocol"): 4,
            ("failed", "decode"): 1,
            ("failed", "too_large"): 3,
            ("skipped", "content_type"): 2,
            ("skipped", "robots"): 5,
        }

    def test_articles_look_like_pages_of_the_web(self, site):
        """About ten links each, many to other hosts, 1 to 16 KB, with a language and mostly a description."""
        _, links = reference_crawl(site)
        network = Network(site.seed)
        articles = {each.url: links[each.url] for each in chain(*network.articles.values())}
        sizes = [len(site.page(each.host.name, each.path).body) for each in chain(*network.articles.values())]

        abroad = sum(
            urls.host_of(link) != urls.host_of(url) for url, found in articles.items() for link in found
        )

        assert 6 < sum(map(len, articles.values())) / len(articles) < 12
        assert abroad > len(articles)
        assert min(sizes) > 1000
        assert max(sizes) < 16_000

    def test_the_host_that_asks_for_pauses_is_small(self):
        """Twenty pages at 0.2 s are four seconds, which a demo can spare."""
        hosts = Counter(urls.host_of(url) for url in expected_records())

        assert hosts[GAMMA.name] <= 20
        assert b"Crawl-delay: 0.2" in DemoSite().page(GAMMA.name, "/robots.txt").body

    def test_pages_never_say_where_they_are_served(self, site):
        """No address, and only the ports of the site's own URLs."""
        for key in site.targets():
            body = site.page(*key).body
            assert b"127.0.0.1" not in body
            assert b"localhost" not in body

    def test_encoded_pages_decode_to_their_titles(self, site):
        """Each page's bytes are in the encoding that it declares by the right means."""
        for entry in PAGES:
            text = site.page("delta.demo.test", entry.path).body.decode(entry.codec)

            assert f"<title>{entry.title}</title>" in text
            assert TITLES[f"http://delta.demo.test{entry.path}"] == entry.title

    def test_tables_agree_with_each_other(self):
        """Every table of `demo.expected` speaks of URLs that the complete table knows, or that nobody may ask for."""
        expected = expected_records()

        assert expected.items() >= EXPECTED.items()
        assert set(RETRIED) | set(RECOVERING) | set(TITLES) - set(NEVER_ASKED) <= set(expected)
        assert not set(NEVER_ASKED) & set(expected)


class TestLatency:
    """A demo ends within a minute or three."""

    def test_slow_pages_take_one_to_three_seconds(self, site):
        """The tutorial's case: ten pages, each slower than everything else."""
        pages = [site.page(SLOW.name, each.path) for each in slow_pages()]

        assert len(pages) == 10
        assert all(1.0 <= page.latency_s <= 3.0 for page in pages)
        assert len({page.latency_s for page in pages}) > 5

    def test_no_slow_page_pauses_for_long(self, site):
        """A read timeout of a second never strikes a slow page."""
        for each in slow_pages():
            page = site.page(SLOW.name, each.path)

            assert page.latency_s / page.parts <= SLOW_GAP_S

    def test_one_slot_is_through_in_time(self, site):
        """All latencies together leave one slot time for retries, pauses and its own work."""
        latencies = [site.page(*key).latency_s for key in site.targets()]
        ordinary = [latency for latency in latencies if 0 < latency < 1]

        assert sum(latencies) < 40
        assert max(ordinary) <= 0.150
        assert 0.012 < sorted(ordinary)[len(ordinary) // 2] < 0.030


def test_resolve_map_names_every_host_once():
    """`--resolve` needs each name with the port of its URLs and the port it listens on."""
    found = resolve_map(4001, 4002, "10.0.0.1")

    assert [line.partition(":")[0] for line in found] == [host.name for host in HOSTS]
    assert "alpha.demo.test:80=10.0.0.1:4001" in found
    assert "rough.demo.test:8080=10.0.0.1:4002" in found
