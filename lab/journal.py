"""What a bench run has measured so far, one JSON line a run, so that an interrupted one continues where it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from crawl.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "runs.jsonl"


class Journal:
    """The lines of one plan in a directory; without a directory nothing is kept.

    Raises UsageError when the directory holds the runs of another plan, or a file that is no journal.
    """

    def __init__(self, directory: Path | None, plan: dict[str, Any]) -> None:
        self._path = None if directory is None else directory / NAME
        self._found: dict[tuple[str, int], dict[str, Any]] = {}
        if self._path is None:
            return
        if self._path.exists():
            self._read(self._path, plan)
        else:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps({"plan": plan}) + "\n", encoding="utf-8")

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
            path.write_bytes(b"".join(line + b"\n" for line in kept))

    def __len__(self) -> int:
        return len(self._found)

    def get(self, name: str, number: int) -> dict[str, Any] | None:
        """Return what a run came to, or None when it has not been made."""
        return self._found.get((name, number))

    def put(self, name: str, number: int, result: dict[str, Any]) -> None:
        """Keep what a run came to."""
        self._found[name, number] = result
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"name": name, "round": number, "result": result}) + "\n")
