"""A pool of threads whose tasks are submitted synchronously: `submit(...).result()`.

Blocks: the main thread, at `result()`, until this one page is there; only then is the next one submitted. In
parallel: nothing, however many threads the pool has; it is the serial crawl with a pool's costs on top. Callback:
none.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, fetch, parse


def fetch_and_parse(page: str) -> Parsed:
    """What a thread of the pool does with a page."""
    return parse(fetch(page))


def run(pages: list[str], slots: int) -> list[Parsed]:
    """Submit a page, wait for it, submit the next."""
    with ThreadPoolExecutor(slots) as pool:
        return [pool.submit(fetch_and_parse, page).result() for page in pages]


if __name__ == "__main__":
    main(run)
