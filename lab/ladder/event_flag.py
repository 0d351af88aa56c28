"""A starting gun without Event: threads look at a flag again and again until somebody has raised it.

"Is the server up?" One thread finds out, the crawling threads must not begin before. Blocks: nothing, and that is the
trouble: each thread sleeps a little, wakes, looks, and sleeps again. In parallel: the looking, all of it for nothing. A
longer sleep wastes fewer looks and notices later. Callback: none.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from lab.ladder.fresh import main, note
from lab.ladder.pages import Parsed, fetch, is_up, parse
from lab.ladder.server import late

#: Seconds between two looks at the flag.
NAP_S = 0.05


class Flag:
    """A variable that threads share, when it was raised, and how often it was looked at in vain."""

    up = False
    raised_at = 0.0
    looks = 0


def fetch_when_up(page: str, flag: Flag) -> tuple[Parsed, float]:
    """Poll the flag, then do the page; return also when this thread saw the flag."""
    while not flag.up:
        # Two threads may both read the same number: without a lock this count can be a little short.
        flag.looks += 1
        time.sleep(NAP_S)
    seen_at = time.perf_counter()
    return parse(fetch(page)), seen_at


def run(pages: list[str], slots: int, after_s: float) -> list[Parsed]:
    """Start the crawling threads at once, and raise the flag when the server is up, some `after_s` from now."""
    flag = Flag()
    with late(pages, after_s) as there, ThreadPoolExecutor(slots) as pool:
        tasks = [pool.submit(fetch_when_up, page, flag) for page in there]
        while not is_up(there[0]):
            time.sleep(0.01)
        flag.raised_at, flag.up = time.perf_counter(), True
        done = [task.result() for task in tasks]
    noticed_s = max(seen_at for _, seen_at in done[:slots]) - flag.raised_at
    note(looks=flag.looks, noticed_ms=round(noticed_s * 1000, 1))
    return [found for found, _ in done]


if __name__ == "__main__":
    main(run)
