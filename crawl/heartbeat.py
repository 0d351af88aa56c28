"""The file whose age says whether a process lives: CRAWL_HEARTBEAT_FILE, of workers and of pump services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawl.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class HeartbeatFile:
    """Touches a file, if there is one; `say` gets a line when that fails after it was possible at the start."""

    def __init__(self, path: Path | None, say: Callable[[str], None] = lambda _: None) -> None:
        self._path = path
        self._say = say
        self._failing = False

    def check(self) -> None:
        """Touch it before anything is done. Raises SettingError, with the remedy, when that is not possible."""
        fault = self._touch()
        if fault is not None:
            message = f"{fault}; name a file in a folder that is there and can be written"
            raise SettingError(message)

    def touch(self) -> None:
        """Touch it. A failure is said once until it works again: work goes on, and whoever watches sees it grow old."""
        fault = self._touch()
        if fault is not None and not self._failing:
            self._say(f"{fault}; the file grows old until it can be touched again")
        self._failing = fault is not None

    def _touch(self) -> str | None:
        if self._path is not None:
            try:
                self._path.touch()
            except OSError as error:
                return f"CRAWL_HEARTBEAT_FILE={self._path}: {error.strerror or error}"
        return None
