"""The folder of a report: the page, its charts as files, and traces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crawl.errors import UsageError
from lab.report.charts import write_charts
from lab.report.html import write_report
from lab.report.lanes import write_timelines
from lab.report.reading import checked
from lab.report.trace import write_traces

if TYPE_CHECKING:
    from pathlib import Path


def write_folder(result: dict[str, Any], directory: Path) -> list[Path]:
    """Write `report.html`, `charts/*.svg`, `charts/*.png` and `timeline-*.trace.json`, and return the files.

    What stands there already under these names is replaced. Raises UsageError for what is no result, where matplotlib
    is missing, and where nothing can be written.
    """
    checked(result)
    charts = directory / "charts"
    try:
        return [
            write_report(result, directory / "report.html"),
            *write_charts(result, charts),
            *write_timelines(result, charts),
            *write_traces(result, directory),
        ]
    except OSError as error:
        message = f"{directory} cannot hold a report: {error.strerror}; give another directory"
        raise UsageError(message) from None
