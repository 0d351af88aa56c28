"""The folder that `poolcrawl bench` fills."""

from __future__ import annotations

import pytest
from labresult import result

from crawl.errors import UsageError
from lab.report.folder import write_folder


def test_a_folder_holds_page_charts_and_traces(tmp_path) -> None:
    """One call writes everything, and a second one replaces it."""
    made = result(workloads=("heavy",), timelines=("heavy",))
    made["timelines"] = made["timelines"][:1]
    directory = tmp_path / "report"
    paths = write_folder(made, directory)
    names = sorted(path.relative_to(directory).as_posix() for path in paths)
    pictures = ["cpu", "latency", "memory", "throughput", "timeline-heavy"]

    assert [
        *(f"charts/{name}.{kind}" for name in pictures for kind in ("png", "svg")),
        "report.html",
        "timeline-heavy-prefork-2.trace.json",
    ] == names
    assert sorted(path for path in directory.rglob("*") if path.is_file()) == sorted(paths)


def test_a_folder_that_is_a_file_is_refused(tmp_path) -> None:
    """One line, exit 2."""
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match=r"cannot be written"):
        write_folder({"schema": 1, "trials": []}, tmp_path / "file")


def test_nothing_is_written_of_what_is_no_result(tmp_path) -> None:
    """Refused before the first file."""
    with pytest.raises(UsageError, match="not a result of the lab"):
        write_folder({}, tmp_path / "new")
    assert [] == list(tmp_path.iterdir())
