"""A wait that does not wait for ever: `wait(timeout)` returns False when the time is over, True when the gun was fired.

Blocks: each crawling thread, for at most PATIENCE_S at a time. In between it can say that it still waits, or give up: a
gun that is never fired (the server does not come up at all) would hold a plain `wait()` for ever. The answer has to be
looked at: going on after a timeout as if the server were up is the usual mistake. In parallel: the fetches, from the
gun on. Callback: none.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from lab.ladder.fresh import main, note
from lab.ladder.pages import Parsed, fetch, is_up, parse
from lab.ladder.server import late

#: Seconds of one wait, and how many waits a thread makes before it gives up.
PATIENCE_S = 0.1
TRIES = 300


def wait_patiently(up: Event) -> int:
    """Return how many waits ran out before the gun was fired. Raises TimeoutError after TRIES of them."""
    for tries in range(TRIES):
        if up.wait(timeout=PATIENCE_S):
            return tries
    message = f"the server did not come up within {TRIES * PATIENCE_S:.0f} s"
    raise TimeoutError(message)


def fetch_when_up(page: str, up: Event) -> tuple[Parsed, int]:
    """Do the page as soon as the server is up; return also how many waits ran out."""
    tries = wait_patiently(up)
    return parse(fetch(page)), tries


def run(pages: list[str], slots: int, after_s: float) -> list[Parsed]:
    """Start the crawling threads at once, and fire when the server is up, some `after_s` from now."""
    up = Event()
    with late(pages, after_s) as there, ThreadPoolExecutor(slots) as pool:
        tasks = [pool.submit(fetch_when_up, page, up) for page in there]
        while not is_up(there[0]):
            time.sleep(0.01)
        up.set()
        done = [task.result() for task in tasks]
    note(timeouts=sum(tries for _, tries in done))
    return [found for found, _ in done]


if __name__ == "__main__":
    main(run)
