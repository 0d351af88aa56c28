"""Coroutines: many tasks in one thread, switched by asyncio's loop at each `await`.

Blocks: nothing while a page is on its way; everything while a page is parsed, because `parse` has no `await` in it. In
parallel: the waiting only. Callback: none in sight, though the loop calls back whoever awaited the socket. Unlike under
gevent the code shows where it may be interrupted, and the blocking `fetch` of the other rungs cannot be used.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, body_of, parse, request


async def fetch(page: str) -> str:
    """Return a body; other coroutines run wherever this one awaits."""
    parts = urlsplit(page)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request(page))
    answer = await reader.read()
    writer.close()
    return body_of(answer)


async def fetch_and_parse(page: str, slot: asyncio.Semaphore) -> Parsed:
    """Wait for a free slot, then do a page."""
    async with slot:
        return parse(await fetch(page))


async def crawl(pages: list[str], slots: int) -> list[Parsed]:
    """Start a coroutine per page."""
    slot = asyncio.Semaphore(slots)
    return await asyncio.gather(*(fetch_and_parse(page, slot) for page in pages))


def run(pages: list[str], slots: int) -> list[Parsed]:
    """Run the loop until all pages are done."""
    return asyncio.run(crawl(pages, slots))


if __name__ == "__main__":
    main(run)
