"""The server of the rough host: raw asyncio sockets, so that nothing corrects what it does wrong."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from demo.hosts import ROUGH
from demo.misbehaviour import MISBEHAVIOURS, PATIENCE_S

if TYPE_CHECKING:
    from demo.access import AccessLog
    from demo.page import Page
    from demo.site import DemoSite

#: A client that has not sent its request by then is let go.
REQUEST_TIMEOUT_S = 30.0
_ACTS = {each.path: each for each in MISBEHAVIOURS}


class Request(NamedTuple):
    """What this server needs of a request."""

    method: str
    target: str
    agent: str


def parse(head: bytes) -> Request | None:
    """Return the request of a header section, or None where there is no request line."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3:
        return None
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    return Request(words[0], words[1], fields.get("user-agent", ""))


def render(answer: Page, method: str) -> bytes:
    """Return a well-behaved answer's bytes; every connection ends after one."""
    head = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", "Server: poolcrawl-demo"]
    head += [f"{name}: {value}" for name, value in answer.headers]
    head += [f"Content-Length: {len(answer.body)}", "Connection: close", "", ""]
    return "\r\n".join(head).encode("latin-1") + (b"" if method == "HEAD" else answer.body)


class RoughServer:
    """Answers for the rough host, one request per connection."""

    def __init__(self, site: DemoSite, log: AccessLog, latency_scale: float) -> None:
        self._site = site
        self._log = log
        self._latency_scale = latency_scale
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, address: str, port: int) -> int:
        """Listen, and return the port; raises OSError where that cannot be."""
        self._server = await asyncio.start_server(self._connected, address, port, backlog=1024)
        listening: int = self._server.sockets[0].getsockname()[1]
        return listening

    async def close(self) -> None:
        """Stop listening and end every connection, hanging ones too."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_TIMEOUT_S)
            request = parse(head)
            if request is not None:
                await asyncio.wait_for(self._answer(request, reader, writer), PATIENCE_S)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            # The client left, or never was one: what a rough host's clients do.
            pass
        finally:
            writer.close()

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        misbehaviour = _ACTS.get(request.target)
        answer = None if misbehaviour else self._site.page(ROUGH.name, request.target)
        status = answer.status if answer else None
        self._log.write(request.agent, request.method, ROUGH.name, request.target, status)
        if misbehaviour is not None:
            await misbehaviour.act(reader, writer)
        elif answer is not None:
            await asyncio.sleep(answer.latency_s * self._latency_scale)
            writer.write(render(answer, request.method))
            await writer.drain()
