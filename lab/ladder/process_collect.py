"""Version one with processes: submit every fetch, collect all bodies, then parse them in the main process.

Blocks: the pool's processes, each on its server; then the main process, at the end of the pool, until the slowest page
is there. In parallel: the fetches, as many as there are processes. The parses are not: they run one after the other in
the main process, and none begins before the last fetch has ended. Callback: none.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, fetch, parse


def run(pages: list[str], slots: int) -> list[Parsed]:
    """Fetch everything, then parse everything."""
    with ProcessPoolExecutor(slots) as pool:
        fetches = [pool.submit(fetch, page) for page in pages]
    # Leaving the block is `shutdown(wait=True)`: nothing more may be submitted, and everything submitted has ended.
    return [parse(fetched.result()) for fetched in fetches]


if __name__ == "__main__":
    main(run)
