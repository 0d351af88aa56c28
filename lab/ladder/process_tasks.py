"""Twenty-three tasks on five processes: a pool takes more than it has slots, and works it off.

Blocks: `shutdown(wait=True)`, until the last of the 23 has ended; submitting never does. In parallel: five tasks,
whoever is free takes the next one; five processes and two cores: they wait well together, and parse two at a time.
Callback: none. But for the class, this is `thread_tasks`: both pools have the same methods.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

from lab.ladder.fresh import main, note
from lab.ladder.pages import Parsed, fetch, parse


def fetch_and_parse(page: str) -> Parsed:
    """One task."""
    return parse(fetch(page))


def run(pages: list[str], slots: int) -> list[Parsed]:
    """Give the pool everything at once and close it."""
    pool = ProcessPoolExecutor(max_workers=slots)
    tasks = [pool.submit(fetch_and_parse, page) for page in pages]
    note(tasks=len(tasks), over_at_submit=sum(task.done() for task in tasks))
    pool.shutdown(wait=True)
    return [task.result() for task in tasks]


if __name__ == "__main__":
    main(run)
