"""An Event as the end: threads crawl until it is set, finish the page they have, and stop.

Blocks: the crawling threads on their server; the reporting thread in `wait(REPORT_S)`, which is a sleep that `set()`
ends early; the main thread in `join()`. In parallel: the fetches. Callback: none. A thread cannot be ended from
outside, so it has to look by itself: here between two pages, never in the middle of one.
"""

from __future__ import annotations

import time
from queue import Empty, Queue
from threading import Event, Thread

from lab.ladder.fresh import main, note
from lab.ladder.pages import Parsed, fetch, parse

#: Seconds between two reports; with `time.sleep` the shutdown would take up to that long.
REPORT_S = 60.0


def crawl(waiting: Queue[str], results: list[Parsed], stop: Event) -> None:
    """Take pages until told to stop; an empty queue is no reason, more pages may come."""
    while not stop.is_set():
        try:
            page = waiting.get(timeout=0.05)
        except Empty:
            continue
        results.append(parse(fetch(page)))
        waiting.task_done()


def report(results: list[Parsed], stop: Event) -> None:
    """Say from time to time how far the crawl is."""
    while not stop.wait(REPORT_S):
        note(reported=len(results))


def run(pages: list[str], slots: int) -> list[Parsed]:
    """Crawl everything, then shut down, and measure how long the shutdown took."""
    waiting: Queue[str] = Queue()
    results: list[Parsed] = []
    stop = Event()
    threads = [Thread(target=crawl, args=(waiting, results, stop)) for _ in range(slots)]
    threads.append(Thread(target=report, args=(results, stop)))
    for page in pages:
        waiting.put(page)
    for thread in threads:
        thread.start()
    waiting.join()
    asked_at = time.perf_counter()
    stop.set()
    for thread in threads:
        thread.join()
    note(shutdown_ms=round((time.perf_counter() - asked_at) * 1000, 1))
    return results


if __name__ == "__main__":
    main(run)
