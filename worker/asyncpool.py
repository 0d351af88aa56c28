"""Celery's pool for `CRAWL_POOL=asyncio`: tasks as coroutine slots of one event loop.

Celery has no asyncio pool, but takes one from CELERY_CUSTOM_WORKER_POOL under the name `custom`. As with its threads
pool the consumer stays in the main thread; the tasks, and all that Celery does around them, run in the loop's.
"""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from celery.concurrency.base import BasePool, apply_target

from worker.coroutines import Call, Loop


class TaskPool(BasePool):
    """Runs each task as one coroutine slot; no time limits, no autoscale, as in the threads pool."""

    limit: int
    body_can_be_buffer = True
    signal_safe = False

    def on_start(self) -> None:
        """Start the loop's thread."""
        self.loop = Loop(self.limit)
        self.loop.start()
        #: What is under way, by the number that stands in for a process id.
        self._calls: WeakValueDictionary[int, Call[Any]] = WeakValueDictionary()
        self._numbers = itertools.count(1)
        # Celery's tracer sends a task's callback from within its slot, by kombu, which can only block.
        self.app.send_task = self.loop.elsewhere(self.app.send_task)

    def on_stop(self) -> None:
        """Wait for what runs; what was taken from the broker and has not begun goes back there."""
        self.loop.stop()

    def on_terminate(self) -> None:
        """End without waiting; the leases bring back what was under way."""
        self.loop.terminate()

    def on_apply(
        self,
        target: Any,
        args: Any = None,
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        **_: Any,
    ) -> Call[Any]:
        """Run a task's target as soon as there is a slot; Celery calls this in the main thread."""
        number = next(self._numbers)
        # To Celery any other end than an Exception is a lost worker; a slot that is cancelled just ends.
        cut = (asyncio.CancelledError,)
        call = partial(
            apply_target, target, args, kwargs, callback, accept_callback, pid=number, propagate=cut
        )
        self._calls[number] = submitted = self.loop.submit(call)
        return submitted

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """End one task where it waits; Celery asks for it on a cold shutdown, and when one is revoked."""
        call = self._calls.get(pid)
        if call is not None:
            call.terminate(signal)

    def _get_info(self) -> dict[str, Any]:
        return {**super()._get_info(), "running": self.loop.running}
