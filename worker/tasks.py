"""The two Celery tasks. Thin: take names from the message, call plain functions, hand on names and counts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import redis
from kombu.exceptions import OperationalError

from crawl import names
from crawl.errors import UnknownCrawlError
from worker import process as processes
from worker.fetching import fetch_batch
from worker.parsing import parse_batch
from worker.turns import Turn

if TYPE_CHECKING:
    from celery import Celery, Task

log = logging.getLogger(__name__)


def _fetch(self: Task, crawl: str, lease: str, summary: str) -> dict[str, Any]:
    """Make a leased batch's requests; Celery then sends `crawl.parse` with what this returns."""
    process = processes.current()
    nothing = {"crawl": crawl, "lease": lease, "pages": 0}
    number, slot = process.slots.borrow()
    worker = str(self.request.hostname)
    try:
        with Turn(process.turns) as turn:
            batch = fetch_batch(process, crawl, lease, worker=worker, slot=slot, turn=turn)
            if batch is None:
                return nothing
            if process.terms(crawl).options.pipeline == names.PIPELINE_FUSED:
                parse_batch(process, crawl, lease, worker=worker, slot=slot, turn=turn, bodies=batch.bodies)
            return batch.summary(crawl)
    except UnknownCrawlError:
        return nothing
    except redis.RedisError as error:
        # The lease brings the batch back; to Celery the task is over.
        log.warning("fetch of %s in %s is left to its lease: %s", summary, crawl, error)
        return nothing
    finally:
        process.slots.give_back(number)


def _parse(self: Task, batch: dict[str, Any]) -> dict[str, Any]:
    """Turn a fetched batch into page records and new links."""
    process = processes.current()
    crawl, lease = str(batch["crawl"]), str(batch["lease"])
    closed = 0
    if batch.get("pages"):
        number, slot = process.slots.borrow()
        try:
            with Turn(process.turns) as turn:
                worker = str(self.request.hostname)
                closed = parse_batch(process, crawl, lease, worker=worker, slot=slot, turn=turn)
        except redis.RedisError as error:
            log.warning("parse of %s in %s is left to its lease: %s", lease, crawl, error)
        finally:
            process.slots.give_back(number)
    return {"crawl": crawl, "lease": lease, "closed": closed}


def register(app: Celery) -> None:
    """Make both tasks known to a worker's app."""
    # Its callback could not be sent: the lease has it sent again, and Celery has said so in a line of its own.
    app.task(_fetch, bind=True, name=names.FETCH_TASK, throws=(OperationalError,))
    app.task(_parse, bind=True, name=names.PARSE_TASK)
