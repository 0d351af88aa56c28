"""Celery as version one: send a fetch task per page, gather all bodies, parse them here.

Blocks: the workers' slots, on their server; this process, at `join()`, until the slowest page is there. In parallel:
the fetches, in whatever pool the workers have. The parses run here, one after the other, whatever that pool is.
Callback: none. Every body goes through Redis twice: as a result, and out of it again.
"""

from __future__ import annotations

from celery.result import ResultSet

from lab.ladder.celery_app import app, fetch_page
from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, parse


def run(pages: list[str], slots: int) -> list[Parsed]:  # noqa: ARG001  the slots are the workers'
    """Send everything, wait for everything, parse everything."""
    bodies = ResultSet([fetch_page.delay(page) for page in pages], app=app).join()
    return [parse(body) for body in bodies]


if __name__ == "__main__":
    main(run)
