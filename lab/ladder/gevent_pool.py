"""Greenlets: many tasks in one thread, switched by gevent whenever one would wait for a socket.

Blocks: nothing while a page is on its way, for the patched socket hands the thread to another greenlet; everything
while a page is parsed, because a greenlet that computes hands over to nobody. In parallel: the waiting only.
Callback: none is needed, the code reads as the serial one.
"""

from __future__ import annotations

from gevent import monkey

# Before anything else takes hold of the blocking socket; the reason why every rung has a process of its own.
monkey.patch_all()

from gevent.pool import Pool  # noqa: E402

from lab.ladder.fresh import main  # noqa: E402
from lab.ladder.pages import Parsed, fetch, parse  # noqa: E402


def fetch_and_parse(page: str) -> Parsed:
    """What a greenlet does with a page; `fetch` is the very function that blocks a thread elsewhere."""
    return parse(fetch(page))


def run(pages: list[str], slots: int) -> list[Parsed]:
    """Run a greenlet per page, at most `slots` of them at once."""
    results: list[Parsed] = Pool(slots).map(fetch_and_parse, pages)
    return results


if __name__ == "__main__":
    main(run)
