"""What a canonical URL and an uncached join cost: medians over URLs as pages have them; `python tests/urlcost.py`."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from crawl import urls

if TYPE_CHECKING:
    from collections.abc import Callable

#: Plain ones as most are, and one of each kind that takes a longer way.
ABSOLUTE = (
    "https://www.example.com/",
    "https://www.example.com/docs/guide/installation.html",
    "https://shop.example.co.uk/catalogue/item?id=12345&colour=red&utm_source=newsletter",
    "HTTP://Example.COM:80/a/./b/../c#section-2",
    "https://example.com/%7euser/%c3%bcber/%2F?q=%7e%20",
    "https://user:secret@example.com/@somebody/posts",
    "https://bücher.example/straße/größe?q=ä",
    "https://example.com/" + "segment/" * 60 + "?" + "key=value&" * 40,
)
REFERENCES = (
    "next.html",
    "../index.html",
    "/news/2026/11/25/",
    "?page=2",
    "#top",
    "//cdn.example.com/x.js",
    "https://other.example/a%20b",
    "./%7Euser/",
)
PAGE = "https://www.example.com/docs/guide/installation.html?lang=en"


def medians_us(rounds: int = 200) -> dict[str, dict[str, float]]:
    """Return the median microseconds of one call, by function and URL."""
    join = urls.join
    return {
        "canonical": {url: _median_us(lambda url=url: urls.canonical(url), rounds) for url in ABSOLUTE},
        "join": {ref: _median_us(lambda ref=ref: join(PAGE, ref), rounds) for ref in REFERENCES},
        "drop_query": {
            url: _median_us(lambda url=url: urls.drop_query(url, ("utm_source",)), rounds)
            for url in ABSOLUTE[1:3]
        },
    }


def _median_us(call: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(5):
            call()
        times.append((time.perf_counter() - began) / 5)
    return statistics.median(times) * 1e6


if __name__ == "__main__":
    for function, costs in medians_us(2000).items():
        told = f"median {statistics.median(costs.values()):.2f} us, most {max(costs.values()):.2f} us"
        print(f"{function}: {told}")  # noqa: T201
        for url, cost in costs.items():
            print(f"  {cost:6.2f}  {url[:90]}")  # noqa: T201
