"""Seeds: from the command line, a file or standard input, judged before Redis is asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from crawl import names, urls
from crawl.errors import UsageError
from crawl.links import Links
from crawl.records import FetchRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crawl.frontier import Frontier
    from crawl.records import CrawlOptions

#: Seeds admitted per call of the frontier.
_SLICE = 1000


def from_arguments(texts: Iterable[str]) -> list[str]:
    """Return the canonical URLs of what was typed. Raises UsageError for the first that is none."""
    found: dict[str, None] = {}
    for text in texts:
        seed = urls.judge_seed(text)
        if seed.url is None:
            raise UsageError(seed.error)
        found[seed.url] = None
    return list(found)


def from_file(name: str, complain: Callable[[str], None]) -> list[str]:
    """Return the canonical URLs of a seeds file (`-`: standard input): one per line, `#` starts a comment.

    Bad lines are told to `complain` with their number. Raises UsageError when no line is usable.
    """
    shown = "standard input" if name == "-" else name
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        message = f"--seeds {shown} cannot be read: {error.strerror or error}; name a text file with one URL per line"
        raise UsageError(message) from None
    if not data.strip():
        message = f"--seeds {shown} is empty; write one URL per line"
        raise UsageError(message)
    if b"\0" in data:
        message = f"--seeds {shown} is no text file; write one URL per line"
        raise UsageError(message)
    found: dict[str, None] = {}
    complaints = []
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        seed = urls.judge_seed(text)
        if seed.url is None:
            complaints.append(f"{shown}:{number}: {_printable((seed.error or '')[:300])}")
        else:
            found[seed.url] = None
    if not found:
        first = f" ({complaints[0]})" if complaints else ""
        message = f"--seeds {shown} has no usable line{first}; write one URL per line"
        raise UsageError(message)
    for complaint in complaints:
        complain(complaint)
    return list(found)


def _printable(text: str) -> str:
    """Return what may go to a terminal; a file of any bytes must not write into its state."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def admit(frontier: Frontier, options: CrawlOptions, now_ms: int) -> int:
    """Add a crawl's seeds and close its seed source; return how many were new. Safe to repeat."""
    admitted = 0
    seeds = options.seeds
    for first in range(0, max(len(seeds), 1), _SLICE):
        links = Links(finite=options.depth is not None, buckets=options.seen_buckets)
        for seed in seeds[first : first + _SLICE]:
            url = urls.drop_query(seed, options.drop_query) if options.drop_query else seed
            fingerprint = links.offer(url)
            if fingerprint is not None:
                links.put(fingerprint, FetchRequest(url=url, via=names.SEED, queued_ms=now_ms))
        new, _ = frontier.add(links, max_pages=options.max_pages, close_seeds=first + _SLICE >= len(seeds))
        admitted += new
    return admitted
