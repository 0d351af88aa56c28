"""The lab's own worker: the worker of a crawl, whose parse burns the CPU time that a page of the workload asks for.

`python -m lab.probe` becomes a Celery worker exactly as `poolcrawl worker` does, with this module's app. With
POOLCRAWL_LAB_TRACE, a directory, it also notes when each burning parse really ran: one file per process, one line
per page.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.pages import marker
from worker.parse import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worker.parse import Document

#: The environment variable that names the directory of traces.
TRACE = "POOLCRAWL_LAB_TRACE"
#: Workers give way to the site, which would answer late if they all wanted the same cores.
NICENESS = 5
#: Turns between two looks at the clock: about 20 microseconds, little beside the switch interval of 5 ms.
_TURNS = 400
#: A pause between two looks longer than this was somebody else's turn, seconds.
_PAUSE_S = 0.001


def burn(cpu_ms: float, clock: Callable[[], float] = time.thread_time) -> Iterator[float]:
    """Spend CPU time of this thread; yield the time of day again and again, so that the caller sees its pauses.

    The clock counts what the thread itself has used, so waiting for the interpreter or a core is not part of it.
    """
    end = clock() + cpu_ms / 1000
    while clock() < end:
        for _ in range(_TURNS):
            pass
        yield time.time()


def runs(moments: Iterator[float], began: float) -> list[tuple[float, float]]:
    """Return the spans (seconds since the epoch) in which somebody really ran, from when they looked at the clock."""
    found: list[tuple[float, float]] = []
    start = last = began
    for moment in moments:
        if moment - last > _PAUSE_S:
            found.append((start, last))
            start = moment
        last = moment
    found.append((start, last))
    return found


class Trace:
    """Notes of one process: which page's parse ran when."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()

    def note(self, url: str, spans: list[tuple[float, float]]) -> None:
        """Append one page's runs; a worker that is killed loses none of the lines before."""
        line = json.dumps({"url": url, "runs": spans})
        with self._lock, (self._directory / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def dearer(trace: Trace | None) -> Callable[..., Document]:
    """Return the parse that also burns what the page asks for."""

    def read(
        url: str, body: bytes, content_type: str | None, charset: str | None, max_links: int, **how: Any
    ) -> Document:
        began = time.time()
        document = parse(url, body, content_type, charset, max_links, **how)
        cpu_ms = marker(body)
        if cpu_ms > 0 or trace is not None:
            spans = runs(burn(cpu_ms), began)
            if trace is not None:
                trace.note(url, spans)
        return document

    return read


def _make() -> Any:
    from worker import app as worker_app
    from worker.process import Process

    directory = os.environ.get(TRACE)
    Process.parse = staticmethod(dearer(Trace(Path(directory)) if directory else None))
    return worker_app.app


def __getattr__(name: str) -> Any:
    """Make `lab.probe:app` when Celery asks for it, after it has patched what the pool needs patched."""
    if name != "app":
        raise AttributeError(name)
    return _make()


def main() -> None:
    """Become the worker; does not return."""
    from crawl import settings
    from worker import command

    os.nice(NICENESS)
    command.become(settings.load(), "lab.probe:app")


if __name__ == "__main__":
    main()
