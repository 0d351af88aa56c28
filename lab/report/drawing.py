"""Figures and how they leave: SVG for a page, whose colours follow the reader's scheme, SVG and PNG as files.

matplotlib is imported here and by those who draw, when a figure is asked for; pyplot and its global state are not used.
"""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
import warnings
from typing import TYPE_CHECKING, Any

from crawl.errors import UsageError
from lab.report.palette import GRID, INKS, PAPER, QUIET, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator

INK = TEXT.light
SHEET = PAPER.light
#: Least share of a logarithmic axis between two ticks.
_NEXT_TICK = 0.085
#: A logarithmic axis that spans less than this has ticks at 1, 2 and 5.
_FINE = 90
#: Width of one panel in inches. On a phone it is shown at nearly this size, so that its text can be read there.
PANEL_IN = 5.0
#: What the title and the note of a figure that stands alone add to its height, in inches.
FRAME_IN = 0.7
#: Dots per inch of PNG files.
_DPI = 160
#: None of them: they would put dates and addresses into files that are to be equal for equal results.
_NO_METADATA: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and takes the page's font
    "svg.hashsalt": "poolcrawl",
    "font.family": ["DejaVu Sans"],
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "text.color": TEXT.light,
    "axes.titlecolor": TEXT.light,
    "axes.labelcolor": QUIET.light,
    "axes.edgecolor": QUIET.light,
    "xtick.color": QUIET.light,
    "ytick.color": QUIET.light,
    "ytick.major.size": 0,
    "grid.color": GRID.light,
    "grid.linewidth": 0.7,
    "figure.facecolor": PAPER.light,
    "axes.facecolor": "none",
    "savefig.facecolor": PAPER.light,
    "hatch.linewidth": 0.8,
    "lines.linewidth": 2,
    "legend.frameon": False,
    "text.parse_math": False,  # a name may hold a dollar sign
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw and save within this. Raises UsageError where matplotlib is missing."""
    try:
        import matplotlib as mpl
    except ImportError:
        message = (
            "a chart needs poolcrawl's lab packages; "
            "`make bench` installs them, or `pip install -r locks/lab.txt`"
        )
        raise UsageError(message) from None
    with mpl.rc_context(), warnings.catch_warnings():
        # A name in another alphabet is drawn with the reader's fonts in SVG, and as boxes in PNG.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        mpl.rcdefaults()  # a reader's matplotlibrc is for their own plots
        mpl.rcParams.update(_STYLE)
        yield


def panels(
    heights: list[float], columns: int = 1, width: float = PANEL_IN, frame: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Return a figure with one axes per height, in so many columns of this width, and a frame around all (inches)."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = max(1, min(columns, len(heights)))
    rows = [heights[start : start + columns] for start in range(0, len(heights), columns)]
    tallest = [max(row) for row in rows]
    engine = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, hspace=0.04, wspace=0.04)
    figure = Figure(figsize=(width * columns, sum(tallest) + frame), layout=engine)
    grid = figure.add_gridspec(len(rows), columns, height_ratios=tallest)
    return figure, [
        figure.add_subplot(grid[place // columns, place % columns]) for place in range(len(heights))
    ]


def entitle(figure: Figure, title: str, caption: str = "") -> None:
    """Give a figure that stands alone its title, and under it what to know before reading it."""
    letters = int(figure.get_figwidth() * 13)
    figure.suptitle(title, x=0.012, ha="left", fontsize=14, weight="bold")
    figure.supxlabel(
        "\n".join(textwrap.wrap(caption, letters)), x=0.012, ha="left", fontsize=9.5, color=QUIET.light
    )


def plain_svg(figure: Figure) -> str:
    """Return the figure as a whole SVG file, in the colours of light paper."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    return buffer.getvalue()


def page_svg(figure: Figure, name: str, title: str) -> str:
    """Return the figure as an `<svg>` element for a page that defines `palette.INKS` as CSS variables.

    `name` makes its ids unique in the page, `title` is what a screen reader says. It refers to nothing outside.
    """
    svg = plain_svg(figure)
    head, body = svg[svg.index("<svg") :].split(">", 1)
    head = re.sub(r'\s(?:xmlns(?::\w+)?|version|width|height)="[^"]*"', "", head)
    body = re.sub(
        r"<!--.*?-->|<style.*?</style>", "", body, flags=re.DOTALL
    )  # the page says what the style says
    body = re.sub(r' (?:d|x|y|transform|points)="[^"]*"', _rounded, body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body).replace("xlink:href", "href")
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = body.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    svg = f"{head}>{body}"
    for ink in INKS:
        svg = re.sub(re.escape(ink.light), f"var(--{ink.name})", svg, flags=re.IGNORECASE)
    label = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _rounded(attribute: re.Match[str]) -> str:
    """Return an attribute with two decimals, a third of the size; points are far coarser."""
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0])


def write(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.svg and `stem`.png, and return both."""
    paths = [stem.with_name(f"{stem.name}.svg"), stem.with_name(f"{stem.name}.png")]
    paths[0].write_text(plain_svg(figure), encoding="utf-8")
    figure.savefig(paths[1], format="png", dpi=_DPI, metadata={"Software": None})
    return paths


def short(text: str, most: int = 30) -> str:
    """Return a name cut to what a panel has room for."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def plain_numbers(axis: Axis) -> None:
    """Write ticks as people write numbers: no powers, no offsets."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def round_ticks(axis: Axis, most: int) -> None:
    """Set at most so many ticks, at round numbers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 5, 10]))
    plain_numbers(axis)


def ticks_at(axis: Axis, values: list[int]) -> None:
    """Set ticks of a logarithmic axis at these values, leaving out what would touch its neighbour."""
    low, high = axis.get_view_interval()
    apart = (high / low) ** _NEXT_TICK
    kept: list[int] = []
    for value in values:
        if not kept or value / kept[-1] >= apart:
            kept.append(value)
    axis.set_major_locator(_fixed(kept))
    axis.set_minor_locator(_fixed([]))
    plain_numbers(axis)


def decades(axis: Axis) -> None:
    """Set ticks of a logarithmic axis that spans a few decades, finer ones where it spans few."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < _FINE else (1,), numticks=12))
    axis.set_minor_locator(NullLocator())
    plain_numbers(axis)


def _fixed(values: list[int]) -> FixedLocator:
    from matplotlib.ticker import FixedLocator

    return FixedLocator(values)


def file_name(text: str) -> str:
    """Return a name as part of a file's name: letters, digits, dot, plus and dash."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-.") or "unnamed"
