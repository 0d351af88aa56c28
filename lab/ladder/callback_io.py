"""A callback that itself waits for the network: each parsed page is stored on a server that takes its time.

Blocks: the one thread of the main process in which the callbacks run, once for each page. In parallel: the fetches,
which end long before. Callback: in the main process, one after the other; all the waiting that the pool has spared adds
up again there, so the crawl takes as long as the callbacks do.
"""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor

from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, fetch, parse


def run(pages: list[str], slots: int, store: list[str]) -> list[Parsed]:
    """Fetch in processes; parse and store in the callback. `store` is the address that takes each page's result."""
    results: list[Parsed] = []

    def parse_and_store(fetched: Future[str]) -> None:
        found = parse(fetched.result())
        fetch(store[len(results)])
        results.append(found)

    with ProcessPoolExecutor(slots) as pool:
        for page in pages:
            pool.submit(fetch, page).add_done_callback(parse_and_store)
    return results


if __name__ == "__main__":
    main(run)
