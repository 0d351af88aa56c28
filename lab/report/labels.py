"""Names beside the points they name, placed so that they cover neither points nor each other where there is room."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

_Place = tuple[int, int, str, str]
#: Size of names in points.
SIZE = 10.0
#: Where a name may stand, as seen from its point: offset in points, horizontal and vertical alignment. Best first.
_PLACES: tuple[_Place, ...] = (
    (8, 0, "left", "center"),
    (-8, 0, "right", "center"),
    (0, 8, "center", "bottom"),
    (0, -8, "center", "top"),
    (6, 7, "left", "bottom"),
    (-6, 7, "right", "bottom"),
    (6, -7, "left", "top"),
    (-6, -7, "right", "top"),
    (12, 16, "left", "bottom"),
    (-12, 16, "right", "bottom"),
    (12, -16, "left", "top"),
    (-12, -16, "right", "top"),
)
#: Half the side of the square that a point takes, and the width of a letter by its size, both roughly.
_POINT_PT = 5.0
#: Every so many points of a line, a square of this half side is kept free if it can be.
_STEP_PT = 7.0
_LINE_PT = 1.5
_LETTER = 0.62


@dataclass(frozen=True)
class Label:
    """A name for the point x, y (in data coordinates)."""

    x: float
    y: float
    text: str
    colour: str


@dataclass(frozen=True)
class _Box:
    left: float
    bottom: float
    right: float
    top: float

    def shared(self, other: _Box) -> float:
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, width) * max(0.0, height)

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.top - self.bottom)


def width_pt(text: str, size: float = SIZE) -> float:
    """Return how wide a text is in points, roughly."""
    return len(text) * size * _LETTER


def place(axes: Axes, names: Sequence[Label], lines: Sequence[Sequence[tuple[float, float]]] = ()) -> None:
    """Write the names clear of each other, of their points and of lines through data points, as far as there is room.

    The axes' limits and size must be final (after `Figure.draw_without_rendering`).
    """
    scale = 72.0 / axes.figure.dpi
    frame = axes.get_window_extent()
    inside = _Box(frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale)

    def points(each: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(float(x) * scale, float(y) * scale) for x, y in axes.transData.transform(list(each))]

    ends = points([(each.x, each.y) for each in names]) if names else []
    taken = [_around(*end, _POINT_PT) for end in ends]
    taken += [_around(*each, _LINE_PT) for line in lines for each in _along(points(line))]
    for name, end in zip(names, ends, strict=True):
        boxes = [_box(*end, where, width_pt(name.text), SIZE * 1.15) for where in _PLACES]
        costs = [sum(map(box.shared, taken)) + 3 * (box.area - box.shared(inside)) for box in boxes]
        best = min(range(len(_PLACES)), key=lambda each: (round(costs[each]), each))
        taken.append(boxes[best])
        _write(axes, name, _PLACES[best])


def _write(axes: Axes, name: Label, where: _Place) -> None:
    right, up, horizontal, vertical = where
    axes.annotate(
        name.text, (name.x, name.y), (right, up), textcoords="offset points", ha=horizontal, va=vertical,
        color=name.colour, fontsize=SIZE, annotation_clip=False,
    ).set_in_layout(False)  # fmt: skip


def _along(line: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return points on a line, `_STEP_PT` apart."""
    found = []
    for (x0, y0), (x1, y1) in itertools.pairwise(line):
        steps = max(1, int(math.hypot(x1 - x0, y1 - y0) / _STEP_PT))
        found += [(x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps) for step in range(steps)]
    return found


def _around(x: float, y: float, half: float) -> _Box:
    return _Box(x - half, y - half, x + half, y + half)


def _box(x: float, y: float, where: _Place, width: float, height: float) -> _Box:
    right, up, horizontal, vertical = where
    left = x + right - {"left": 0.0, "center": width / 2, "right": width}[horizontal]
    bottom = y + up - {"bottom": 0.0, "center": height / 2, "top": height}[vertical]
    return _Box(left, bottom, left + width, bottom + height)
