"""The access log: one JSON line per request, also the site's memory of whom it has failed already."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class AccessLog:
    """Who asked for what, in order of arrival.

    A line has `time` (Unix seconds), `agent`, `method`, `host`, `path` (with query) and `status`: null where
    no status line is sent. It is written when the request has come, before any latency, in one append each,
    so several readers may follow. Without a file nothing is written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._asked: set[tuple[str, str, str]] = set()
        self._file: int | None = None
        if path is not None:
            self._recall(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                # A kill cut the last line off; the next one must not continue it.
                os.write(self._file, b"\n")

    def _recall(self, path: Path) -> None:
        """Read who has had a failing first answer: that counts per crawl, not per server life."""
        if not path.exists():
            return
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                    if entry["status"] in (500, 503):
                        self._asked.add((entry["agent"], entry["host"], entry["path"]))
                except (ValueError, KeyError, TypeError):
                    # The last line may have been cut off by a kill.
                    continue

    def first_time(self, agent: str, host: str, path: str) -> bool:
        """Say whether this User-Agent asks for a recovering page for the first time; remember that it did."""
        key = (agent, host, path)
        if key in self._asked:
            return False
        self._asked.add(key)
        return True

    def write(self, agent: str, method: str, host: str, path: str, status: int | None) -> None:
        """Append one line."""
        if self._file is None:
            return
        entry = {
            "time": round(time.time(), 3),
            "agent": agent,
            "method": method,
            "host": host,
            "path": path,
            "status": status,
        }
        os.write(self._file, json.dumps(entry).encode() + b"\n")

    def close(self) -> None:
        """Close the file; nothing is written afterwards."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
