"""The peer: a Scrapy spider as its documentation writes one, doing the same work as our crawl.

Run by `scrapy runspider` in a process of its own; "spider" and "item" are Scrapy's words. It follows every link on the
same host and yields URL, status, title, text length and links of each page. `-a report=FILE` gets the moments and CPU
seconds of the first and the last page, so that interpreter and framework start can be left out on both sides.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import scrapy

if TYPE_CHECKING:
    from collections.abc import Iterator


class PagesSpider(scrapy.Spider):
    """Every page of one host."""

    name = "pages"

    def __init__(self, seed: str, report: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_urls = [seed]
        self.allowed_domains = [urlsplit(seed).hostname]
        self.report_path = Path(report)
        self.first: tuple[float, float] | None = None
        self.last = (0.0, 0.0)

    def parse(self, response: Any) -> Iterator[Any]:
        """Yield the page, then follow its links (the tutorial's `follow_all`)."""
        if self.first is None:
            self.first = (time.time(), time.process_time())
        yield {
            "url": response.url,
            "status": response.status,
            "title": response.css("title::text").get(),
            # string() makes one selector; //text() makes one per text node and costs a quarter of the whole crawl.
            "text_length": len(" ".join(response.xpath("string(//body)").get("").split())),
            "links": list(dict.fromkeys(response.urljoin(h) for h in response.css("a::attr(href)").getall())),
        }
        yield from response.follow_all(css="a", callback=self.parse)
        self.last = (time.time(), time.process_time())

    def closed(self, reason: str) -> None:
        """Write the report when Scrapy has ended the crawl."""
        first = self.first or self.last
        self.report_path.write_text(
            json.dumps(
                {
                    "reason": reason,
                    "started": first[0],
                    "ended": self.last[0],
                    "cpu_s": self.last[1] - first[1],
                }
            ),
            encoding="utf-8",
        )
