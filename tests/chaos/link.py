"""A TCP proxy in front of one server that can be cut, made deaf, slow or silent while connections are open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, Self

#: Sent at close, so that the other side gets a reset instead of an orderly end.
_NO_LINGER = struct.pack("ii", 1, 0)


class Link:
    """Forwards connections to `target`, a port of this machine. Use as a context manager.

    Every method may be called from any thread, and returns when it is in force.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._delay_s = 0.0
        self._deaf = False
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port: int = found.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def _set(self, change: Callable[[], None]) -> None:
        async def _changed() -> None:
            change()

        self._do(_changed())

    def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        self._do(self._cut())

    def mend(self) -> None:
        """Take connections again."""
        self._do(self._listen())

    def silence(self, silent: bool = True) -> None:
        """Let no byte through, in either direction, and no connection either; or let all that waits through."""
        self._set(self._flows.clear if silent else self._flows.set)

    def deafen(self) -> None:
        """Let commands through, and lose every answer."""
        self._set(lambda: setattr(self, "_deaf", True))

    def reset(self) -> None:
        """Reset every connection, and hear again; new ones are taken."""

        def _reset() -> None:
            self._abort()
            self._deaf = False

        self._set(_reset)

    def slow(self, delay_s: float) -> None:
        """Let every answer come so many seconds late."""
        self._set(lambda: setattr(self, "_delay_s", delay_s))

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=256)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._abort()

    async def _end(self) -> None:
        await self._cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _abort(self) -> None:
        for writer in list(self._open):
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            await self._flows.wait()
            answers, there = await asyncio.open_connection("127.0.0.1", self._target)
            self._open.add(there)
            await asyncio.gather(
                self._pass(reader, there, answer=False), self._pass(answers, writer, answer=True)
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, there):
                if one is not None:
                    self._open.discard(one)
                    one.close()
            self._tasks.discard(task)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answer: bool
    ) -> None:
        while data := await reader.read(65536):
            await self._flows.wait()
            if answer and self._delay_s:
                await asyncio.sleep(self._delay_s)
            if answer and self._deaf:
                continue
            writer.write(data)
            await writer.drain()
        # One side has ended; nothing here speaks on after that.
        writer.close()
