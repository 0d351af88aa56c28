"""The three Celery tasks of the ladder: the pool is no longer in our process, and no longer in our code.

The same module is what the workers load (`celery --app lab.ladder.celery_app worker --pool ...`) and what the rungs
send with. Settings are plain: JSON, one message per page, results in the same Redis that carries the messages.
"""

from __future__ import annotations

import os

from celery import Celery

from lab.ladder.pages import Parsed, fetch, parse

#: Where broker and results are; set by whoever starts workers and rungs.
ADDRESS = "LADDER_REDIS_URL"
FETCH_QUEUE, PARSE_QUEUE = "fetch", "parse"
PREFIX = "lab.ladder."

app = Celery("ladder", broker=os.environ.get(ADDRESS), backend=os.environ.get(ADDRESS), set_as_current=False)
app.conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    broker_connection_retry_on_startup=True,
    # A slot takes its next page when it is free, and holds none in reserve behind a slow one.
    worker_prefetch_multiplier=1,
    # Under gevent every slot wants a connection of its own when it acknowledges or stores.
    broker_transport_options={"max_connections": 40},
    task_default_queue=FETCH_QUEUE,
    task_routes={f"{PREFIX}parse_page": {"queue": PARSE_QUEUE}},
)


@app.task(name=f"{PREFIX}fetch_page")
def fetch_page(page: str) -> str:
    """Return the body, which travels back through Redis."""
    return fetch(page)


@app.task(name=f"{PREFIX}parse_page")
def parse_page(body: str) -> Parsed:
    """Return what a body says."""
    return parse(body)


@app.task(name=f"{PREFIX}fetch_and_parse")
def fetch_and_parse(page: str) -> Parsed:
    """Both steps as one task."""
    return parse(fetch(page))
