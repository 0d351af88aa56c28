"""Slots as coroutines of one event loop, in a thread of its own.

What a slot runs is ordinary code. Each call is an asyncio task whose body runs in a greenlet: where that code would
block the thread, it hands its task something to await and goes on when the loop has it, as SQLAlchemy's asyncio side
does. What is awaited lets the other slots run; what is not (parsing) stops them all, as in any program on asyncio.

A lock must not be held across a wait: the next slot to ask for it would stop the thread that is to release it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from greenlet import getcurrent, greenlet

from worker import waiting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Threads for calls that can only block (sending a message); fewer than the broker's connections, so none is missing.
SENDERS = 8


class CoroutineSlot(greenlet):
    """The greenlet of one call: it may wait, its thread may not."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(call)
        self.loop = asyncio.get_running_loop()
        # Like a task, it sees its maker's variables and changes only its own.
        self.gr_context = contextvars.copy_context()

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Suspend until the loop has what is awaited; to be called from within the slot only."""
        # The parent is the thread's own greenlet, in which our task waits for what to await next.
        task: Any = self.parent
        result: T = task.switch(awaitable)
        return result

    def wait_ready(self, descriptor: int, *, writing: bool, timeout_s: float | None) -> bool:
        """Wait until a descriptor can be read or written; False after that many seconds (None: never)."""
        loop = self.loop
        ready: asyncio.Future[bool] = loop.create_future()
        if writing:
            loop.add_writer(descriptor, _settle, ready, True)
        else:
            loop.add_reader(descriptor, _settle, ready, True)
        timer = None if timeout_s is None else loop.call_later(timeout_s, _settle, ready, False)
        try:
            return self.wait(ready)
        finally:
            (loop.remove_writer if writing else loop.remove_reader)(descriptor)
            if timer is not None:
                timer.cancel()

    def wait_done(self, future: Future[T], timeout_s: float | None) -> T:
        """Wait for another thread's result; raise TimeoutError after that many seconds (None: never)."""
        # Shielded, because others may wait for the same result.
        awaited = asyncio.shield(asyncio.wrap_future(future, loop=self.loop))
        return self.wait(asyncio.wait_for(awaited, timeout_s))


def _settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)


def current() -> CoroutineSlot | None:
    """Return the slot the caller runs in, or None when it runs in none."""
    found = getcurrent()
    return found if isinstance(found, CoroutineSlot) else None


waiting.install(current)


async def run(call: Callable[[], T]) -> T:
    """Run ordinary code as a coroutine slot; return or raise what it does."""
    slot = CoroutineSlot(call)
    got: Any = slot.switch()
    while not slot.dead:
        try:
            value = await got
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the code that waits
            got = slot.throw(error)
        else:
            got = slot.switch(value)
    result: T = got
    return result


class Call(Future[T]):
    """A call given to a loop, and what it comes to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], T]) -> None:
        super().__init__()
        self._loop = loop
        self._call = call
        self.task: asyncio.Task[None] | None = None

    def terminate(self, signal: object = None) -> None:  # noqa: ARG002 - Celery names one
        """End it where it waits, or before it begins; from any thread."""
        # A loop that has ended has nothing left to end.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if self.task is None:
            self.cancel()
        else:
            self.task.cancel()

    async def run(self) -> None:
        """Run it; nothing it raises may reach the loop, which SystemExit would end."""
        try:
            result = await run(self._call)
        except BaseException as error:
            if isinstance(error, Exception):
                log.error("a slot ended with %r", error, exc_info=error)
            self.set_exception(error)
        else:
            self.set_result(result)


class Loop:
    """One event loop in a thread of its own, on which at most `limit` calls run at once; the others wait in order."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._waiting: deque[Call[Any]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._senders = ThreadPoolExecutor(SENDERS, "sender")
        self._thread = threading.Thread(target=self._run, name="coroutines", daemon=True)
        self._started = threading.Event()
        self._ending = False

    def start(self) -> None:
        """Begin; returns when calls are taken."""
        self._thread.start()
        self._started.wait()

    def submit(self, call: Callable[[], T]) -> Call[T]:
        """Run a call as soon as there is a slot for it; from any thread."""
        submitted = Call(self._loop, call)
        self._loop.call_soon_threadsafe(self._take, submitted)
        return submitted

    def elsewhere(self, call: Callable[..., T]) -> Callable[..., T]:
        """Return a call that, made in a slot, blocks a thread of senders instead of this loop."""

        def _call(*args: Any, **kwargs: Any) -> T:
            slot = current()
            if slot is None:
                return call(*args, **kwargs)
            bound = functools.partial(contextvars.copy_context().run, call, *args, **kwargs)
            return slot.wait(slot.loop.run_in_executor(self._senders, bound))

        return _call

    @property
    def running(self) -> int:
        """How many calls run now."""
        return len(self._tasks)

    def stop(self) -> None:
        """Drop the calls that have not begun, wait for those that have, and end; not to be called from a slot."""
        self._end(cancel=False)

    def terminate(self) -> None:
        """End without waiting: what runs gets CancelledError where it waits."""
        self._end(cancel=True)

    def _end(self, *, cancel: bool) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._finish, cancel)
            self._thread.join()
        self._senders.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._started.set()
        # What still runs afterwards is cancelled by asyncio.run.
        await self._over.wait()

    def _take(self, call: Call[Any]) -> None:
        if self._ending:
            call.cancel()
            return
        self._waiting.append(call)
        self._fill()

    def _fill(self) -> None:
        while self._waiting and len(self._tasks) < self.limit:
            call = self._waiting.popleft()
            if call.set_running_or_notify_cancel():
                call.task = self._loop.create_task(call.run())
                self._tasks.add(call.task)
                call.task.add_done_callback(functools.partial(self._leave, call))

    def _leave(self, call: Call[Any], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not call.done():
            # Cancelled before its first step.
            call.set_exception(asyncio.CancelledError())
        self._fill()
        self._finish_if_empty()

    def _finish(self, cancel: bool) -> None:
        self._ending = True
        while self._waiting:
            self._waiting.popleft().cancel()
        if cancel:
            self._over.set()
        self._finish_if_empty()

    def _finish_if_empty(self) -> None:
        if self._ending and not self._tasks:
            self._over.set()
