"""The Celery app, and the only place where the fetch | parse chain is spelled.

Messages are hints: they are acknowledged early, no result is stored, and the frontier's leases are the only recovery.
Celery's keys have a prefix of their own (`crawl.keys.BROKER_PREFIX`).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu import Exchange, Queue

from crawl import keys, names
from crawl.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crawl.batches import Batch

#: Connections of one process to the broker beyond one per slot; kombu's default of 10 loses acknowledgements on gevent.
SPARE_CONNECTIONS = 20


def make_app(redis_url: str, *, slots: int = 1, events: bool = False) -> Celery:
    """Return a Celery app on a Redis; `slots` is how many tasks the process may finish at once."""
    app = Celery("poolcrawl", set_as_current=False)
    app.conf.update(
        broker_url=redis_url,
        broker_transport_options={
            "global_keyprefix": keys.BROKER_PREFIX,
            # One list per queue instead of four: no priorities here, and BRPOP gets cheaper.
            "priority_steps": [0],
            # kombu would also note in Redis what a worker holds, to deliver it again after an hour: 12 commands and
            # four round trips a batch (half of all) for a promise that the leases keep sooner. Prefetch limits, and the
            # return of unstarted messages at a shutdown, work without it.
            "ack_emulation": False,
            "max_connections": slots + SPARE_CONNECTIONS,
            "socket_connect_timeout": 5,
            "socket_timeout": 15,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
        broker_pool_limit=max(10, min(slots, 100)),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A Redis that refuses a command (its memory is full) ends a worker otherwise, as no lost connection does.
        broker_channel_error_retry=True,
        result_backend=None,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=False,
        task_serializer="json",
        accept_content=["json"],
        task_create_missing_queues=False,
        task_default_queue=names.FETCH_QUEUE,
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in names.QUEUES],
        task_routes={
            names.FETCH_TASK: {"queue": names.FETCH_QUEUE},
            names.PARSE_TASK: {"queue": names.PARSE_QUEUE},
        },
        worker_prefetch_multiplier=1,
        worker_disable_rate_limits=True,
        worker_send_task_events=events,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_redirect_stdouts=False,
        task_send_sent_event=False,
        task_track_started=events,
        enable_utc=True,
    )
    return app


def __getattr__(name: str) -> Any:
    """Make `crawl.broker:app` on first use, from this process's settings (Flower is started with it)."""
    if name != "app":
        raise AttributeError(name)
    from crawl import settings as settings_module

    url = settings_module.load().redis_address()
    if url is None:
        message = "CRAWL_REDIS_URL is not set; this process needs a running Redis"
        raise UnavailableError(message)
    return make_app(url)


class Sender:
    """Sends batches; one publisher is kept open, so a send is one round trip."""

    def __init__(self, app: Celery, crawl: str, pipeline: str) -> None:
        self._app = app
        self._crawl = crawl
        self._callback = pipeline == names.PIPELINE_CALLBACK
        self._open()
        self._parse = app.signature(names.PARSE_TASK, ignore_result=True, queue=names.PARSE_QUEUE)

    def _open(self) -> None:
        self._connection = self._app.connection_for_write()
        self._producer = self._app.amqp.Producer(self._connection, auto_declare=False)

    def _send(self, task: str, **options: Any) -> None:
        """Send one message; after a failure the next one gets a publisher of its own."""
        try:
            self._publish(task, **options)
        except AttributeError:
            # A closed channel, to kombu, which it may be left with where Redis refused for want of memory. Nothing
            # was sent. Whatever else is meant by it fails again with a new publisher.
            self._publish(task, **options)

    def _publish(self, task: str, **options: Any) -> None:
        try:
            self._app.send_task(task, producer=self._producer, ignore_result=True, **options)
        except Exception:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._open()
            raise

    def fetch(self, batches: Iterable[Batch]) -> None:
        """Send each batch as a fetch task with parse as its callback."""
        link = [self._parse] if self._callback else None
        for batch in batches:
            self._send(
                names.FETCH_TASK,
                args=(self._crawl, batch.lease, batch.summary()),
                queue=names.FETCH_QUEUE,
                link=link,
            )

    def parse(self, batches: Iterable[Batch]) -> None:
        """Send only the parse of batches that are fetched already."""
        for batch in batches:
            self._send(
                names.PARSE_TASK,
                args=({"crawl": self._crawl, "lease": batch.lease, "pages": batch.count},),
                queue=names.PARSE_QUEUE,
            )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
