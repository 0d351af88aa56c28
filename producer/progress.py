"""Live progress on stderr: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import redis
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from crawl import results

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from crawl.results import Status

#: Seconds between two lines where there is no terminal, and between two looks where there is one.
LINE_S = 2.0
LOOK_S = 0.5


def line(status: Status, rate: float) -> str:
    """Return a crawl's state in one plain line."""
    outcomes = " ".join(f"{name} {count}" for name, count in status.outcomes.items()) or "nothing yet"
    return (
        f"{status.crawl}: {status.done} of {status.admitted} pages done ({status.done_share:.0%}), "
        f"{status.leased} in flight, {rate:.1f} pages/s | {outcomes}"
    )


class ProgressDisplay:
    """Shows a crawl's progress; call `tick` often, it looks at Redis only as often as it shows something."""

    def __init__(self, client: redis.Redis, crawl: str) -> None:
        self._client = client
        self._crawl = crawl
        self._console = Console(stderr=True, highlight=False)
        self._terminal = self._console.is_terminal
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} pages"),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._terminal,
        )
        self._task = self._progress.add_task(crawl, total=1, detail="")
        self._shown_at = 0.0
        self._rated: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the terminal clean."""
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line without disturbing the bar."""
        self._console.print(text, markup=False, soft_wrap=True)

    def tick(self) -> None:
        """Show progress when it is time."""
        now = time.monotonic()
        if now - self._shown_at < (LOOK_S if self._terminal else LINE_S):
            return
        try:
            status = results.status(self._client, self._crawl)
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            # The pump says that Redis is away, and waits; what is shown can wait, too.
            self._shown_at = time.monotonic()
            return
        first, done = self._rated or (now, status.done)
        rate = (status.done - done) / (now - first) if now > first else 0.0
        self._rated = (now, status.done)
        waited = self._shown_at > 0
        self._shown_at = now
        if self._terminal:
            detail = f"{rate:.0f}/s, {status.leased} in flight"
            self._progress.update(
                self._task, total=max(status.admitted, 1), completed=status.done, detail=detail
            )
        elif waited:
            self.say(line(status, rate))
