"""Version two with processes: one task fetches a page and parses it.

Blocks: the pool's processes, on their server and on their own parse. In parallel: everything, on as many cores as there
are; a page is parsed while others are on their way. The price is coupling: whoever wants only the fetch, or another
parse, or a retry of the parse alone, has to take the task apart. Callback: none.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, fetch, parse


def fetch_and_parse(page: str) -> Parsed:
    """Both steps as one task. Only the small result travels back to the main process."""
    return parse(fetch(page))


def run(pages: list[str], slots: int) -> list[Parsed]:
    """Submit everything at once, then collect."""
    with ProcessPoolExecutor(slots) as pool:
        tasks = [pool.submit(fetch_and_parse, page) for page in pages]
    return [task.result() for task in tasks]


if __name__ == "__main__":
    main(run)
