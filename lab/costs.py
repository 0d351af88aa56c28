"""What single steps cost: a robots verdict, a canonical URL, and the memory that parsing a page of 10 MB takes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from crawl import urls
from lab.marks import Mark
from worker.robots import Rules

if TYPE_CHECKING:
    from collections.abc import Callable

#: Microseconds of one robots verdict for a URL that was not seen before, at most (median).
VERDICT_US = 50.0
#: Microseconds of one canonical URL, at most (median).
CANONICAL_US = 20.0
#: MB that parsing a page of 10 MB adds to a process, at most.
PARSE_MB = 300.0
#: Steps per sample and samples: medians of 5 are too few for microseconds.
_STEPS = 200
_SAMPLES = 25
#: Rules of the robots.txt that verdicts are asked of; real ones have 10 to 100.
_RULES = 100

_PAGES = {
    "links": '<li><a href="/a/{0}/page-{1}.html?q={1}">the {1}th entry, with a word or two</a></li>\n',
    "text": "<p>Paragraph {1} of a long page that has much to say, and <b>says</b> it at length, as people do.</p>\n",
}
#: Run in a process of its own, whose peak then is that of one parse: builds the page, then parses it.
_PEAK = """
import resource, sys
from worker.parse import parse
line, size = sys.argv[1], int(sys.argv[2])
parts, total, number = ["<!doctype html><title>big</title><ul>"], 0, 0
while total < size:
    part = line.format(number % 100, number)
    parts.append(part); total += len(part); number += 1
body = "".join(parts).encode(); del parts
parse("http://big.test/", body[:1000], "text/html", "utf-8", 10)
scale = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
parse("http://big.test/", body, "text/html", "utf-8", 10_000)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale - before + len(body)) / 1e6)
"""


def marks() -> list[Mark]:
    """Return the three promises with what was measured here and now."""
    return [
        Mark("us of a robots verdict, 100 rules, URL not seen before", VERDICT_US, verdict_us()),
        Mark("us of a canonical URL", CANONICAL_US, canonical_us()),
        *(Mark(f"MB to parse a page of 10 MB, mostly {what}", PARSE_MB, peak_mb(what)) for what in _PAGES),
    ]


def _median_us(step: Callable[[str], object], words: Callable[[int], str]) -> float:
    samples = []
    for sample in range(_SAMPLES):
        inputs = [words(sample * _STEPS + number) for number in range(_STEPS)]
        began = time.perf_counter()
        for word in inputs:
            step(word)
        samples.append((time.perf_counter() - began) / _STEPS * 1e6)
    return statistics.median(samples)


def verdict_us() -> float:
    """Return the median microseconds of one verdict, each of another URL, so that no memory of verdicts helps."""
    lines = ["User-agent: *"]
    for number in range(_RULES):
        path = f"/private/{number}/*.php$" if number % 4 == 0 else f"/area-{number}/"
        lines.append(f"{'Allow' if number % 10 == 9 else 'Disallow'}: {path}")
    rules = Rules.from_text("\n".join(lines).encode())
    return _median_us(
        lambda url: rules.allowed(url, "poolcrawl"), lambda n: f"http://a.test/shop/{n}/article-{n}.html"
    )


def canonical_us() -> float:
    """Return the median microseconds of one canonical URL, each another one, with something to mend in each."""
    return _median_us(
        urls.canonical, lambda n: f"HTTP://Shop.Example.COM:80/a/./b/../caf%c3%a9/%7Eu/{n}?q=a%20b&n={n}#top"
    )


def peak_mb(what: str) -> float:
    """Return how many MB a process of its own grows by, the page itself included, when it parses 10 MB."""
    command = [sys.executable, "-c", _PEAK, _PAGES[what], str(10 * 1024 * 1024 - 4096)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return float(done.stdout)
