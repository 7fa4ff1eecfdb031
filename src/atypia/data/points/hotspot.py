"""The hotspot of veterinary grading: where on a slide the mitotic figures are densest.

Lengths are in steps of the grid, 0.1 mm, wherever a name does not say px or mm.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from atypia.data.points.areas import lies_inside

HOTSPOT_MM2 = 2.37
"""Ten fields at 400 x through an eyepiece of field number 22: 10 x pi x (22 mm / 40 / 2)^2
(Meuten, Moore and George 2016, "Mitotic count and the field of view area", Vet Pathol 53)."""

LEAST_SEARCHED = 0.8
"""Share of the rectangle that must lie in the searched area."""

_GRID_UM = 100.0
_STEPS2_PER_MM2 = (1000 / _GRID_UM) ** 2
_RATIO = 4 / 3
_SHORT = math.sqrt(HOTSPOT_MM2 * _STEPS2_PER_MM2 / _RATIO)
#: Width and height: lying, and standing.
_SIZES = ((_SHORT * _RATIO, _SHORT), (_SHORT, _SHORT * _RATIO))
_ROUNDING = 1e-9

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Hotspot:
    """The densest place.

    Attributes:
        left: of the rectangle, px of level 0.
        top: likewise.
        width: likewise.
        height: likewise.
        searched_mm2: how much of the rectangle lies in the searched area.
        inside: which figures lie in the rectangle and in the searched area, bool (N,).
    """

    left: float
    top: float
    width: float
    height: float
    searched_mm2: float
    inside: Bools


class _Place(NamedTuple):
    """A rectangle by its corner on the grid, in the order in which the first one is the best."""

    fewer: int  # figures in it, negative
    row: int
    column: int
    standing: int


class _Window(NamedTuple):
    """The part of the grid in which corners lie: its first column and row, and its size."""

    column: int
    row: int
    columns: int
    rows: int


def find_hotspot(x: Floats, y: Floats, area: shapely.Geometry, mpp: float) -> Hotspot | None:
    """Find the rectangle of 2.37 mm2 that holds the most figures of the searched area.

    It lies or stands (4:3 or 3:4), with its corner on a grid of 0.1 mm that starts at x = 0, y = 0,
    and at least 80 % of it in the searched area. Of equal ones it is the first in reading order:
    the topmost, then the leftmost, then the lying one.

    Args:
        x: of each figure, px of level 0, float64 (N,).
        y: likewise.
        area: that was searched, px of level 0.
        mpp: um/px of level 0.

    Returns:
        The rectangle; None where no figure lies in one.
    """
    step_px = _GRID_UM / mpp
    searched = lies_inside(area, x, y)
    across, down = x[searched] / step_px, y[searched] / step_px
    if not len(across):
        return None
    area = shapely.transform(area, lambda corners: corners / step_px)
    shapely.prepare(area)
    places = (_find_densest(across, down, area, standing) for standing in (0, 1))
    best = min((place for place in places if place is not None), default=None)
    if best is None:
        return None
    wide, high = _SIZES[best.standing]
    inside = searched & _spans(x / step_px, wide, best.column) & _spans(y / step_px, high, best.row)
    return Hotspot(
        left=best.column * step_px,
        top=best.row * step_px,
        width=wide * step_px,
        height=high * step_px,
        searched_mm2=_measure_searched(area, best) / _STEPS2_PER_MM2,
        inside=inside,
    )


def _find_densest(
    across: Floats, down: Floats, area: shapely.Geometry, standing: int
) -> _Place | None:
    """Find the best rectangle that lies, or that stands.

    How much of one was searched is first estimated, for all of them at once; shapely measures it
    where the estimate leaves it open.
    """
    wide, high = _SIZES[standing]
    (first, last), (top, bottom) = _corners(across, wide), _corners(down, high)
    window = _Window(
        int(first.min()),
        int(top.min()),
        int(last.max() - first.min()) + 1,
        int(bottom.max() - top.min()) + 1,
    )
    counts = _count(window, first, last, top, bottom)
    estimate, error = _estimate_searched(area, window, wide, high)
    needed = LEAST_SEARCHED * wide * high
    held = counts > 0
    sure = held & (estimate >= needed + error)
    most = int(counts[sure].max()) if sure.any() else 1
    places = [_place(window, counts, *at, standing) for at in _first_of(sure & (counts == most))]
    open_ones = np.argwhere(held & ~sure & (counts >= most) & (estimate >= needed - error))
    for at in sorted(_place(window, counts, row, column, standing) for row, column in open_ones):
        if places and places[0] < at:
            break
        if _measure_searched(area, at) >= needed * (1 - _ROUNDING):
            return at
    return places[0] if places else None


def _place(window: _Window, counts: Ints, row: int, column: int, standing: int) -> _Place:
    return _Place(
        -int(counts[row, column]), window.row + int(row), window.column + int(column), standing
    )


def _first_of(hits: Bools) -> list[tuple[int, int]]:
    """Return row and column of the first hit in reading order, in a list; none of none."""
    if not hits.any():
        return []
    row, column = np.unravel_index(int(hits.argmax()), hits.shape)
    return [(int(row), int(column))]


def _corners(places: Floats, size: float) -> tuple[Ints, Ints]:
    """Return the first and the last corner on the grid of which the rectangle holds each place."""
    return np.ceil(places - size).astype(np.int64), np.floor(places).astype(np.int64)


def _spans(places: Floats, size: float, corner: int) -> Bools:
    """Return which places a rectangle holds along one axis, by the same rounding."""
    hits: Bools = (np.ceil(places - size) <= corner) & (corner <= np.floor(places))
    return hits


def _count(window: _Window, first: Ints, last: Ints, top: Ints, bottom: Ints) -> Ints:
    """Count the figures in the rectangle at each corner, int64 (rows, columns).

    A figure lies in the rectangles of a block of corners; the blocks are added up as differences
    at their own four corners.
    """
    shape = (window.rows + 1, window.columns + 1)
    steps = np.zeros(shape[0] * shape[1], dtype=np.int64)
    for row, y_sign in ((top - window.row, 1), (bottom - window.row + 1, -1)):
        for column, x_sign in ((first - window.column, 1), (last - window.column + 1, -1)):
            hits = np.bincount(row * shape[1] + column, minlength=len(steps))
            steps += y_sign * x_sign * hits
    return steps.reshape(shape).cumsum(axis=0).cumsum(axis=1)[:-1, :-1]


def _estimate_searched(
    area: shapely.Geometry, window: _Window, wide: float, high: float
) -> tuple[Floats, float]:
    """Return how much of the rectangle at each corner lies in the area, and the largest error.

    Cells of the grid that the rectangle cuts count by the share that it has of them. That is wrong
    by a quarter of a cell at most, where the area fills half of it.

    Returns:
        Steps of the grid squared, float64 (rows, columns), and one number.
    """
    across, down = math.ceil(wide), math.ceil(high)
    cells = _measure_cells(
        area, window._replace(columns=window.columns + across, rows=window.rows + down)
    )
    sums = _slide_sum(_slide_sum(cells, high).T, wide).T
    return sums[: window.rows, : window.columns], (across + down) / 4


def _slide_sum(cells: Floats, size: float) -> Floats:
    """Return the sums of `size` rows from each row on; of the last one only a part counts."""
    whole, part = divmod(size, 1)
    heads = np.concatenate([np.zeros((1, cells.shape[1])), cells.cumsum(axis=0)])
    count = len(cells) - math.ceil(size) + 1
    first = int(whole)
    sums: Floats = heads[first : first + count] - heads[:count]
    return sums + part * cells[first : first + count] if part else sums


def _measure_cells(area: shapely.Geometry, window: _Window) -> Floats:
    """Return how much of each cell of a part of the grid lies in the area, float64 (rows, columns).

    The part is halved until a half lies in the area, beside it, or is one cell.
    """
    cells = np.zeros((window.rows, window.columns))
    halves = [(area, 0, 0, window.columns, window.rows)]
    while halves:
        shape, left, top, right, bottom = halves.pop()
        x, y = window.column, window.row
        shape = shapely.clip_by_rect(shape, x + left, y + top, x + right, y + bottom)
        size = (right - left) * (bottom - top)
        if shape.area >= size * (1 - _ROUNDING):
            cells[top:bottom, left:right] = 1
        elif size == 1:
            cells[top, left] = shape.area
        elif shape.area > 0:
            halves += [(shape, *half) for half in _halve(left, top, right, bottom)]
    return cells


def _halve(left: int, top: int, right: int, bottom: int) -> Iterator[tuple[int, int, int, int]]:
    if right - left >= bottom - top:
        middle = (left + right) // 2
        yield left, top, middle, bottom
        yield middle, top, right, bottom
    else:
        middle = (top + bottom) // 2
        yield left, top, right, middle
        yield left, middle, right, bottom


def _measure_searched(area: shapely.Geometry, place: _Place) -> float:
    """Return how much of a rectangle lies in the area, steps of the grid squared."""
    wide, high = _SIZES[place.standing]
    left, top = place.column, place.row
    box = shapely.box(left, top, left + wide, top + high)
    return float(shapely.intersection(area, box).area)
