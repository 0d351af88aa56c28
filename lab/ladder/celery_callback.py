"""Celery as version three: a fetch task per page, with the parse as its callback (`link=`).

Blocks: the workers' slots, on their server; this process only waits for the results. In parallel: what the workers'
pool can. Callback: a task of its own. The worker that has fetched sends it, *any* worker that serves its queue runs
it, in any slot, also on another machine; so unlike `add_done_callback` callbacks run side by side, and fetch and
parse may have workers and pools of their own (split). The body travels in the callback's message, after it was stored
as a result.
"""

from __future__ import annotations

from lab.ladder.celery_app import fetch_page, parse_page
from lab.ladder.fresh import main
from lab.ladder.pages import Parsed


def run(pages: list[str], slots: int) -> list[Parsed]:  # noqa: ARG001  the slots are the workers'
    """Send every fetch with its callback, then wait for the callbacks."""
    parses = []
    for page in pages:
        parse = parse_page.s()
        # Frozen, the callback has its id now, and its result can be waited for before there is a message.
        parses.append(parse.freeze())
        fetch_page.apply_async((page,), link=parse)
    return [Parsed(*parsed.get()) for parsed in parses]


if __name__ == "__main__":
    main(run)
