"""Version one with threads: submit every fetch, collect all bodies, then parse them in the main thread.

Blocks: the pool's threads, each on its server (a thread that waits for the network lets go of the interpreter); then
the main thread, at the end of the pool. In parallel: the fetches. The parses run one after the other in the main
thread, and none begins before the last fetch has ended. Callback: none.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, fetch, parse


def run(pages: list[str], slots: int) -> list[Parsed]:
    """Fetch everything, then parse everything."""
    with ThreadPoolExecutor(slots) as pool:
        fetches = [pool.submit(fetch, page) for page in pages]
    return [parse(fetched.result()) for fetched in fetches]


if __name__ == "__main__":
    main(run)
