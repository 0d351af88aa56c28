"""The report: one HTML file that needs nothing else, neither a network nor a script.

Rendered with Tornado's templates, which come with Flower and escape every value unless told not to; only the SVG
elements of `lab.report.drawing`, escaped by matplotlib, are put in as they are.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.template import Loader

from crawl.errors import UsageError
from lab.report import page, reading
from lab.report.palette import INKS, looks

if TYPE_CHECKING:
    from lab.report.page import Page

#: Most bytes of a report.
MOST_BYTES = 5_000_000
_FOLDER = Path(__file__).parent


def render(result: dict[str, Any]) -> str:
    """Return the report. Timelines are left out from the end until it fits into MOST_BYTES.

    Raises UsageError for what is no result, and where the rest alone is too large.
    """
    whole = page.of(reading.checked(result))
    count = sum(len(some) for _, some in whole.timelines)
    for kept in range(count, -1, -1):
        html = _fill(_with_timelines(whole, kept, count))
        if (size := len(html.encode())) <= MOST_BYTES:
            return html
    message = f"the report would take {size / 1e6:.1f} MB, at most {MOST_BYTES / 1e6:g}; try fewer ways or workloads"
    raise UsageError(message)


def write_report(result: dict[str, Any], path: Path) -> Path:
    """Write the report, making the folder it stands in, and return the path. Raises UsageError where that cannot be."""
    html = render(result)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}; give another path"
        raise UsageError(message) from None
    return path


def _with_timelines(whole: Page, kept: int, count: int) -> Page:
    """Return the page with the first timelines only, and a sentence about the others."""
    if kept == count:
        return whole
    left, timelines = kept, []
    for workload, pictures in whole.timelines:
        timelines.append((workload, pictures[:left]))
        left -= len(pictures[:left])
    said = f"{count - kept} of {count} timelines are left out to keep this page small; their trace files have them."
    return replace(whole, timelines=[each for each in timelines if each[1]], timelines_left_out=said)


def _fill(whole: Page) -> str:
    # No autoescape for the style sheet: it holds quotes of its own and nothing of the result.
    style = (
        Loader(str(_FOLDER), autoescape=None, whitespace="all")
        .load("report.css")
        .generate(inks=INKS, looks=looks())
    )
    html = Loader(str(_FOLDER)).load("report.html").generate(page=whole, style=style)
    return html.decode()
