"""The four kinds of concurrency, each doing the same six small things that `lab.ladder.costs` measures.

`create(n)` makes and ends n of them, one after the other; `hold(n)` has n that do nothing while the block runs;
`pass_on(n)` lets two of them take turns, n times; `burn(n, ms)` parses n times on all cores, if the kind can;
`count(n, times)` lets n of them raise one number without a lock and returns what whoever started them sees; `gap(ms)`
returns the longest pause, in seconds, that one of them suffers while its neighbour computes.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from lab.measure import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How often the neighbour wants to run while another one computes, seconds.
TICK_S = 0.005


def nothing() -> None:
    """Do nothing."""


def burn(ms: float) -> None:
    """Use the processor, as a parse does, for some milliseconds of this thread's own CPU time."""
    began = time.thread_time()
    while time.thread_time() - began < ms / 1000:
        sum(range(1000))


class Box:
    """A number that several may change."""

    value = 0


def plus_one(value: int) -> int:
    """Return the next number; a call, so that there is a moment between reading and writing."""
    return value + 1


def raise_number(box: Box, times: int) -> None:
    """Read, add one, write, without a lock."""
    for _ in range(times):
        box.value = plus_one(box.value)


def longest_gap(sleep: Callable[[float], None], over: Callable[[], bool]) -> float:
    """Wake up every TICK_S until it is over; return the longest time between two wakings beyond that, seconds."""
    longest, last = 0.0, time.monotonic()
    while not over():
        sleep(TICK_S)
        now = time.monotonic()
        longest, last = max(longest, now - last - TICK_S), now
    return longest


def _burn_in(pool: Executor, n: int, ms: float) -> None:
    for done in [pool.submit(burn, ms) for _ in range(n)]:
        done.result()


class Processes:
    """Made by the system, each with a memory of its own."""

    how_many: ClassVar = {"create": 30, "hold": 10, "pass_on": 2000}

    def create(self, n: int) -> None:  # noqa: D102  see the module, here and below
        for _ in range(n):
            process = multiprocessing.Process(target=nothing)
            process.start()
            process.join()

    @contextmanager
    def hold(self, n: int) -> Iterator[None]:  # noqa: D102
        end = multiprocessing.Event()
        processes = [multiprocessing.Process(target=end.wait) for _ in range(n)]
        for process in processes:
            process.start()
        yield
        end.set()
        for process in processes:
            process.join()

    def pass_on(self, n: int) -> None:  # noqa: D102
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=_answer, args=(theirs, n // 2))
        process.start()
        _ask(ours, n // 2)
        process.join()

    def burn(self, n: int, ms: float) -> None:  # noqa: D102
        with ProcessPoolExecutor(cores()) as pool:
            _burn_in(pool, n, ms)

    def count(self, n: int, times: int) -> int:  # noqa: D102
        box = Box()
        processes = [multiprocessing.Process(target=raise_number, args=(box, times)) for _ in range(n)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        return box.value

    def gap(self, ms: float) -> float:  # noqa: D102
        process = multiprocessing.Process(target=burn, args=(ms,))
        process.start()
        return longest_gap(time.sleep, lambda: not process.is_alive())


def _answer(end: Any, times: int) -> None:
    for _ in range(times):
        end.send_bytes(end.recv_bytes())


def _ask(end: Any, times: int) -> None:
    for _ in range(times):
        end.send_bytes(b"x")
        end.recv_bytes()


class Threads:
    """Made by the system, sharing the memory of their process and its one interpreter."""

    how_many: ClassVar = {"create": 1000, "hold": 500, "pass_on": 4000}

    def create(self, n: int) -> None:  # noqa: D102
        for _ in range(n):
            thread = threading.Thread(target=nothing)
            thread.start()
            thread.join()

    @contextmanager
    def hold(self, n: int) -> Iterator[None]:  # noqa: D102
        end = threading.Event()
        threads = [threading.Thread(target=end.wait) for _ in range(n)]
        for thread in threads:
            thread.start()
        yield
        end.set()
        for thread in threads:
            thread.join()

    def pass_on(self, n: int) -> None:  # noqa: D102
        turns = threading.Semaphore(0), threading.Semaphore(0)

        def take_turns(mine: int) -> None:
            for _ in range(n // 2):
                turns[mine].acquire()
                turns[1 - mine].release()

        self._all([lambda: take_turns(0), lambda: take_turns(1), turns[0].release])

    def burn(self, n: int, ms: float) -> None:  # noqa: D102
        with ThreadPoolExecutor(cores()) as pool:
            _burn_in(pool, n, ms)

    def count(self, n: int, times: int) -> int:  # noqa: D102
        box = Box()
        self._all([lambda: raise_number(box, times)] * n)
        return box.value

    def gap(self, ms: float) -> float:  # noqa: D102
        thread = threading.Thread(target=burn, args=(ms,))
        thread.start()
        return longest_gap(time.sleep, lambda: not thread.is_alive())

    def _all(self, functions: list[Callable[[], None]]) -> None:
        threads = [threading.Thread(target=function) for function in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


class Greenlets:
    """Made by gevent inside one thread, which switches where one of them would wait."""

    how_many: ClassVar = {"create": 5000, "hold": 5000, "pass_on": 20000}

    def __init__(self) -> None:
        import gevent
        import gevent.event

        self.gevent = gevent
        self.gevent_event = gevent.event

    def create(self, n: int) -> None:  # noqa: D102
        for _ in range(n):
            self.gevent.spawn(nothing).join()

    @contextmanager
    def hold(self, n: int) -> Iterator[None]:  # noqa: D102
        end = self.gevent_event.Event()
        greenlets = [self.gevent.spawn(end.wait) for _ in range(n)]
        self.gevent.sleep(0)
        yield
        end.set()
        self.gevent.joinall(greenlets)

    def pass_on(self, n: int) -> None:  # noqa: D102
        def take_turns() -> None:
            for _ in range(n // 2):
                self.gevent.sleep(0)

        self._all([take_turns, take_turns])

    def burn(self, n: int, ms: float) -> None:  # noqa: D102
        self._all([lambda: burn(ms)] * n)

    def count(self, n: int, times: int) -> int:  # noqa: D102
        box = Box()
        self._all([lambda: raise_number(box, times)] * n)
        return box.value

    def gap(self, ms: float) -> float:  # noqa: D102
        other = self.gevent.spawn_later(2 * TICK_S, burn, ms)
        return longest_gap(self.gevent.sleep, lambda: bool(other.ready()))

    def _all(self, functions: list[Callable[[], None]]) -> None:
        self.gevent.joinall([self.gevent.spawn(function) for function in functions])


class Coroutines:
    """Made by the interpreter inside one thread, switched by asyncio's loop where they await."""

    how_many: ClassVar = {"create": 5000, "hold": 5000, "pass_on": 20000}

    def create(self, n: int) -> None:  # noqa: D102
        async def create() -> None:
            for _ in range(n):
                await asyncio.create_task(asyncio.sleep(0))

        asyncio.run(create())

    @contextmanager
    def hold(self, n: int) -> Iterator[None]:  # noqa: D102
        with asyncio.Runner() as runner:
            end = asyncio.Event()
            loop = runner.get_loop()
            tasks = [loop.create_task(end.wait()) for _ in range(n)]
            runner.run(asyncio.sleep(0))
            yield
            end.set()
            runner.run(_gather(tasks))

    def pass_on(self, n: int) -> None:  # noqa: D102
        async def take_turns() -> None:
            for _ in range(n // 2):
                await asyncio.sleep(0)

        asyncio.run(_gather([take_turns(), take_turns()]))

    def burn(self, n: int, ms: float) -> None:  # noqa: D102
        asyncio.run(_gather([_as_coroutine(lambda: burn(ms)) for _ in range(n)]))

    def count(self, n: int, times: int) -> int:  # noqa: D102
        box = Box()
        asyncio.run(_gather([_as_coroutine(lambda: raise_number(box, times)) for _ in range(n)]))
        return box.value

    def gap(self, ms: float) -> float:  # noqa: D102
        async def neighbours() -> float:
            loop = asyncio.get_running_loop()
            loop.call_later(2 * TICK_S, burn, ms)
            longest, last, end = 0.0, time.monotonic(), time.monotonic() + ms / 1000
            while time.monotonic() < end:
                await asyncio.sleep(TICK_S)
                longest, last = max(longest, time.monotonic() - last - TICK_S), time.monotonic()
            return longest

        return asyncio.run(neighbours())


async def _gather(tasks: list[Any]) -> None:
    await asyncio.gather(*tasks)


async def _as_coroutine(function: Callable[[], None]) -> None:
    function()


Kind = Processes | Threads | Greenlets | Coroutines
KINDS: dict[str, Callable[[], Kind]] = {
    "process": Processes,
    "thread": Threads,
    "greenlet": Greenlets,
    "coroutine": Coroutines,
}
