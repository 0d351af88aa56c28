"""Celery as version two: one task per page that fetches and parses.

Blocks: the workers' slots, on their server and on their parse; this process only waits for the results. In parallel:
what the workers' pool can: processes everything, threads the waiting (parses take turns), gevent the waiting (a parse
stops all its greenlets). With split workers the one for parsing never gets a message. Callback: none.
"""

from __future__ import annotations

from celery.result import ResultSet

from lab.ladder.celery_app import app, fetch_and_parse
from lab.ladder.fresh import main
from lab.ladder.pages import Parsed


def run(pages: list[str], slots: int) -> list[Parsed]:  # noqa: ARG001  the slots are the workers'
    """Send everything and wait for everything."""
    results = ResultSet([fetch_and_parse.delay(page) for page in pages], app=app).join()
    return [Parsed(*found) for found in results]


if __name__ == "__main__":
    main(run)
