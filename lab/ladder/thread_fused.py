"""Version two with threads: one task fetches a page and parses it.

Blocks: the pool's threads, on their server. In parallel: the waiting. The parses are not: only one thread at a time
holds the interpreter, so they take turns of a few milliseconds, and a second core brings nothing. Callback: none.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, fetch, parse


def fetch_and_parse(page: str) -> Parsed:
    """Both steps as one task."""
    return parse(fetch(page))


def run(pages: list[str], slots: int) -> list[Parsed]:
    """Submit everything at once, then collect."""
    with ThreadPoolExecutor(slots) as pool:
        tasks = [pool.submit(fetch_and_parse, page) for page in pages]
    return [task.result() for task in tasks]


if __name__ == "__main__":
    main(run)
