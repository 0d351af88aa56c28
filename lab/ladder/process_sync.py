"""A pool of processes whose tasks are submitted synchronously: `submit(...).result()`.

Blocks: the main process, at `result()`, until this one page is there; only then is the next one submitted. In
parallel: nothing, however many processes the pool has; it is the serial crawl with a pool's costs on top. Callback:
none.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, fetch, parse


def fetch_and_parse(page: str) -> Parsed:
    """What a process of the pool does with a page."""
    return parse(fetch(page))


def run(pages: list[str], slots: int) -> list[Parsed]:
    """Submit a page, wait for it, submit the next."""
    with ProcessPoolExecutor(slots) as pool:
        return [pool.submit(fetch_and_parse, page).result() for page in pages]


if __name__ == "__main__":
    main(run)
