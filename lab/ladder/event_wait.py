"""A starting gun with Event: threads sleep in `wait()`, and `set()` wakes all of them at once.

"Is the server up?" One thread finds out, the crawling threads must not begin before. Blocks: each crawling thread, in
`wait()`, without using the processor: it does not poll, the one who calls `set()` wakes it. In parallel: the fetches,
from the gun on. Callback: none.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from lab.ladder.fresh import main, note
from lab.ladder.pages import Parsed, fetch, is_up, parse
from lab.ladder.server import late


def fetch_when_up(page: str, up: Event) -> tuple[Parsed, float]:
    """Wait for the gun, then do the page; return also when this thread heard it. Once set, `wait` returns at once."""
    up.wait()
    heard_at = time.perf_counter()
    return parse(fetch(page)), heard_at


def run(pages: list[str], slots: int, after_s: float) -> list[Parsed]:
    """Start the crawling threads at once, and fire when the server is up, some `after_s` from now."""
    up = Event()
    with late(pages, after_s) as there, ThreadPoolExecutor(slots) as pool:
        tasks = [pool.submit(fetch_when_up, page, up) for page in there]
        while not is_up(there[0]):
            time.sleep(0.01)
        fired_at = time.perf_counter()
        up.set()
        done = [task.result() for task in tasks]
    noticed_s = max(heard_at for _, heard_at in done[:slots]) - fired_at
    note(noticed_ms=round(noticed_s * 1000, 1))
    return [found for found, _ in done]


if __name__ == "__main__":
    main(run)
