"""Version three with processes: the pool only fetches, and `add_done_callback` parses what has arrived.

Blocks: the pool's processes, on their server. In parallel: the fetches, and beside them one parse at a time. Callback:
in the main *process*, in the thread in which the pool receives its results, not in the main thread; there is one such
thread, so callbacks queue up behind each other. An exception in a callback is logged and dropped.
"""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor

from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, fetch, parse


def run(pages: list[str], slots: int) -> list[Parsed]:
    """Submit every fetch with a callback; fetch and parse do not know of each other."""
    results: list[Parsed] = []

    def parse_fetched(fetched: Future[str]) -> None:
        results.append(parse(fetched.result()))

    with ProcessPoolExecutor(slots) as pool:
        for page in pages:
            pool.submit(fetch, page).add_done_callback(parse_fetched)
    return results


if __name__ == "__main__":
    main(run)
