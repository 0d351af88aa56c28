"""The files of a report: the result as JSON, Markdown and CSV, the page, its pictures and traces."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from crawl.errors import UsageError
from lab import results
from lab.markdown import to_markdown
from lab.report.folder import write_folder
from lab.sheet import to_csv

if TYPE_CHECKING:
    from pathlib import Path

    from lab.results import Row


def require(directory: Path) -> None:
    """Raise UsageError where a report cannot be written, before an hour is measured for it."""
    if not directory.name:
        message = (
            "--report: an empty name or a root is no directory for a report; give one, such as reports/first"
        )
        raise UsageError(message)
    if importlib.util.find_spec("matplotlib") is None:
        message = (
            "--report draws with matplotlib, one of poolcrawl's lab packages, which is not installed; "
            "`make bench` installs them, or `pip install -r locks/lab.txt`"
        )
        raise UsageError(message)


def write(result: Row, directory: Path) -> list[Path]:
    """Write a result into a directory in every form there is; return the files.

    Raises UsageError where nothing can be written.
    """
    texts = {"result.md": to_markdown(result), "result.csv": to_csv(result)}
    written = [directory / "result.json", *(directory / name for name in texts)]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        results.write(result, written[0])
        for path, text in zip(written[1:], texts.values(), strict=True):
            path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        message = f"{directory} cannot hold a report: {error.strerror}; give another directory"
        raise UsageError(message) from None
    return written + write_folder(result, directory)
