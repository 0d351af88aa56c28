"""The cure for a callback that waits: it only hands the waiting on to a second pool, of threads.

Blocks: the threads of the second pool, each on the store. In parallel: fetches and stores. Callback: in the main
process, one after the other, but each is over after its parse. The price is one more pool to size and to close, in the
right order: the first must be closed before the second, since its callbacks still submit.
"""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor

from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, fetch, parse


def run(pages: list[str], slots: int, store: list[str]) -> list[Parsed]:
    """Fetch in processes, parse in the callback, store in threads."""
    results: list[Parsed] = []
    with ThreadPoolExecutor(slots) as storing:

        def parse_fetched(fetched: Future[str]) -> None:
            storing.submit(fetch, store[len(results)])
            results.append(parse(fetched.result()))

        with ProcessPoolExecutor(slots) as fetching:
            for page in pages:
                fetching.submit(fetch, page).add_done_callback(parse_fetched)
    return results


if __name__ == "__main__":
    main(run)
