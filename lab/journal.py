"""What a bench run has measured so far, one JSON line a run, so that an interrupted one continues where it was."""

from __future__ import annotations

import fcntl
import json
from typing import TYPE_CHECKING, Any

from crawl.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "runs.jsonl"


class Journal:
    """The lines of one plan in a directory; without a directory nothing is kept.

    Raises UsageError when the directory holds the runs of another plan, a file that is no journal, or the journal of a
    benchmark that is running, and where nothing can be written.
    """

    def __init__(self, directory: Path | None, plan: dict[str, Any]) -> None:
        self._path = None if directory is None else directory / NAME
        self._found: dict[tuple[str, int], dict[str, Any]] = {}
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Held open for as long as this journal lives: the lock goes with the process, however it ends.
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            message = f"{directory} cannot be written: {error.strerror}; give another directory"
            raise UsageError(message) from None
        try:
            self._begin(self._path, plan)
        except BaseException:
            self._file.close()
            raise

    def _begin(self, path: Path, plan: dict[str, Any]) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            message = f"another benchmark is writing to {path.parent}; wait for it, or give another directory"
            raise UsageError(message) from None
        if path.stat().st_size:
            self._read(path, plan)
        else:
            self._write({"plan": plan})

    def _read(self, path: Path, plan: dict[str, Any]) -> None:
        lines = path.read_bytes().split(b"\n")
        # A kill in the middle of a line leaves half of it: that run counts as not made.
        kept = lines[:-1]
        try:
            header, *rows = [json.loads(line) for line in kept]
            there = header["plan"]
            self._found = {(row["name"], row["round"]): row["result"] for row in rows}
        except (ValueError, KeyError, TypeError):
            message = f"{path} is no journal of a benchmark; give another directory"
            raise UsageError(message) from None
        if there != json.loads(json.dumps(plan)):
            message = (
                f"{path.parent} holds the runs of another benchmark (other workloads, ways, rounds, settings or "
                "version); give another directory, or the same options to continue it"
            )
            raise UsageError(message)
        if lines[-1]:
            self._file.truncate(sum(len(line) + 1 for line in kept))

    def __len__(self) -> int:
        return len(self._found)

    def get(self, name: str, number: int) -> dict[str, Any] | None:
        """Return what a run came to, or None when it has not been made."""
        return self._found.get((name, number))

    def put(self, name: str, number: int, result: dict[str, Any]) -> None:
        """Keep what a run came to."""
        self._found[name, number] = result
        if self._path is not None:
            self._write({"name": name, "round": number, "result": result})

    def _write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Let another benchmark write there."""
        if self._path is not None:
            self._file.close()
