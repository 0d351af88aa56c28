"""Serving the site: ordinary hosts on aiohttp, the rough host on raw sockets, in one process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import hdrs, web

from demo.access import AccessLog
from demo.chance import DEFAULT_SEED
from demo.rough import RoughServer
from demo.site import DemoSite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from demo.page import Page

#: Open answers get this long when the server stops.
SHUTDOWN_S = 0.5
#: Connections waiting to be accepted: a crawl's slots may all connect at once.
BACKLOG = 1024


class Ports(NamedTuple):
    """Where a running site listens."""

    port: int
    rough_port: int


class OrdinaryServer:
    """Answers for the ordinary hosts, told apart by the Host header."""

    def __init__(self, site: DemoSite, log: AccessLog, latency_scale: float) -> None:
        self._site = site
        self._log = log
        self._latency_scale = latency_scale
        application = web.Application()
        application.router.add_route("*", "/{target:.*}", self._answer)
        application.on_response_prepare.append(_strip)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)

    async def start(self, address: str, port: int) -> int:
        """Listen, and return the port; raises OSError where that cannot be."""
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port, backlog=BACKLOG).start()
        listening: int = self._runner.addresses[0][1]
        return listening

    async def close(self) -> None:
        """Stop listening and end every connection."""
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        host = request.host.partition(":")[0].lower()
        # The target as sent: yarl's idea of a path would hide what a client did not canonicalise.
        target = request.raw_path
        agent = request.headers.get(hdrs.USER_AGENT, "")
        answer = self._site.page(host, target)
        if answer.at_first is not None and self._log.first_time(agent, host, target):
            answer = answer.at_first
        self._log.write(agent, request.method, host, target, answer.status)
        if answer.parts > 1 or answer.chunked:
            return await self._in_parts(request, answer)
        if answer.latency_s and self._latency_scale:
            await asyncio.sleep(answer.latency_s * self._latency_scale)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def _in_parts(self, request: web.Request, answer: Page) -> web.StreamResponse:
        """Send a body bit by bit, each bit at its time since the request came."""
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        if answer.chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(answer.body)
        loop = asyncio.get_running_loop()
        began, latency_s = loop.time(), answer.latency_s * self._latency_scale
        size = -(-len(answer.body) // answer.parts)
        for number in range(answer.parts):
            due = began + latency_s * (number + 1) / answer.parts
            await asyncio.sleep(max(0.0, due - loop.time()))
            if number == 0:
                await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                await response.write(answer.body[number * size : (number + 1) * size])
        await response.write_eof()
        return response


async def _strip(_request: web.Request, response: web.StreamResponse) -> None:
    """Remove what aiohttp adds and the page does not say: a Content-Type, and the server's versions."""
    if response.headers.get(hdrs.CONTENT_TYPE) == "application/octet-stream":
        del response.headers[hdrs.CONTENT_TYPE]
    response.headers[hdrs.SERVER] = "poolcrawl-demo"


@asynccontextmanager
async def serving(
    host: str = "127.0.0.1",
    port: int = 0,
    rough_port: int = 0,
    latency_scale: float = 1.0,
    access_log: Path | None = None,
    seed: int = DEFAULT_SEED,
) -> AsyncIterator[Ports]:
    """Serve the site while the context is open; port 0 takes a free one.

    `latency_scale` multiplies every page's latency, 0 removes it; misbehaviour keeps its own times. Raises
    OSError where an address cannot be listened on or the log cannot be written.
    """
    log = AccessLog(access_log)
    site = DemoSite(seed)
    ordinary = OrdinaryServer(site, log, latency_scale)
    rough = RoughServer(site, log, latency_scale)
    try:
        yield Ports(await ordinary.start(host, port), await rough.start(host, rough_port))
    finally:
        await rough.close()
        await ordinary.close()
        log.close()
