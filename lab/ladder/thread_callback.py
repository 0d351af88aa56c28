"""Version three with threads: the pool only fetches, and `add_done_callback` parses what has arrived.

Blocks: the pool's threads, on their server. In parallel: the fetches. Callback: in the pool's thread that made the
fetch, which takes no other page meanwhile (in the submitting thread, should the fetch be over before the callback is
added). So it decouples fetch and parse as with processes, but it does not free the slot: in time it is version two.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, fetch, parse


def run(pages: list[str], slots: int) -> list[Parsed]:
    """Submit every fetch with a callback; fetch and parse do not know of each other."""
    results: list[Parsed] = []

    def parse_fetched(fetched: Future[str]) -> None:
        # Several threads may be here at once; `append` is one step of the interpreter and needs no lock.
        results.append(parse(fetched.result()))

    with ThreadPoolExecutor(slots) as pool:
        for page in pages:
            pool.submit(fetch, page).add_done_callback(parse_fetched)
    return results


if __name__ == "__main__":
    main(run)
