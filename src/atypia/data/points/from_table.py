"""Tables of points: QuPath's measurements, a detector's list, or a figure table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from atypia.data.columns import as_numbers, as_text
from atypia.data.points.classes import ClassFilter
from atypia.data.points.slide_names import match_slide_names
from atypia.data.points.table import PointFailure, Points, make_points
from atypia.data.table_io import read_raw
from atypia.errors import TableError, suggest_name

# What a column is called, spelt as `_spell` does; the first one that a table has is used.
_IDS = ("figure id", "point id", "object id", "id", "uid", "uuid")
_CLASSES = ("class", "classification", "class name", "category", "category name", "name", "label")
_SLIDES = ("slide", "slide name", "file name", "filename", "image", "image name", "file")

_PLACE_WORDS = ("centroid", "center", "centre", "coord", "coordinate", "position", "pos")
# The Greek letter may have been read in another encoding.
_UNITS = {
    **dict.fromkeys(("px", "pixel"), "px"),
    **dict.fromkeys(("um", "μm", "âμm", "\ufffdm", "micron", "micrometer", "micrometre"), "um"),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), "mm"),
}
_UM_PER_UNIT = {"um": 1.0, "mm": 1000.0}
_MOST_NAMED = 20


def read_point_table(path: Path, slide: Path, *, mpp: float, classes: ClassFilter) -> Points:
    """Read points of one slide.

    Args:
        path: a table with x and y; their columns may be called as QuPath calls them ("Centroid X
            px", "Centroid X µm"), and a unit in their names counts. Further columns are taken if
            they are there: an id, a class, and the slide.
        slide: the slide; where the table names slides, its own points are taken.
        mpp: um/px of the slide's level 0.
        classes: which points are taken.

    Raises:
        TableError: the table cannot be read, has no such columns, or names other slides alone.
    """
    raw = read_raw(path)
    header = [str(name) for name in raw.columns]
    x_name, y_name, unit = _find_place_columns(path, header)
    known = _find_column(header, _CLASSES)
    name = as_text(raw[known]) if known else pd.Series("", index=raw.index, dtype=object)
    counts = Counter(dict.fromkeys(name.unique(), 0))
    mine, failures = _select_rows(path, raw, slide)
    counts.update(name[mine].tolist())
    raw = raw[mine & name.isin([*filter(classes.takes, name.unique())])]
    written = [as_text(raw[axis]) for axis in (x_name, y_name)]
    scale = _UM_PER_UNIT[unit] / mpp if unit in _UM_PER_UNIT else 1.0
    x, y = (as_numbers(text) * scale for text in written)
    own = _find_column(header, _IDS)
    numbers = pd.Series([str(n + 1) for n in range(len(raw))], index=raw.index, dtype=object)
    ids = numbers if own is None else as_text(raw[own])
    frame = pd.DataFrame(
        {
            "point_id": ids.where(ids != "", numbers),
            "x": x,
            "y": y,
            "name": name[raw.index],
            "place": [f"row {n}" for n in raw.index],
        }
    )
    usable = np.isfinite(frame[["x", "y"]].to_numpy(dtype=np.float64)).all(axis=1)
    failures += [
        PointFailure(
            f"{path}, row {row}: {x_name} {x_text!r}, {y_name} {y_text!r} is not a position on a "
            "slide; give finite numbers",
            "no finite x and y",
        )
        for row, x_text, y_text, right in zip(raw.index, *written, usable, strict=True)
        if not right
    ]
    points = make_points(path, frame[usable], failures, counts)
    if unit == "px":
        return points
    line = f"warning: {path}: {x_name} and {y_name} are in {unit}; taken at {mpp:g} um/px"
    return replace(points, warnings=(*points.warnings, line))


def _spell(name: str) -> str:
    """Return a column's name in lower case, its words divided by one space."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.sub(r"[\s_.:,()\[\]/-]+", " ", words).strip().casefold()


def _find_column(header: Sequence[str], spellings: Sequence[str]) -> str | None:
    spelt = {_spell(name): name for name in reversed(header)}
    return next((spelt[spelling] for spelling in spellings if spelling in spelt), None)


def _find_place_columns(path: Path, header: Sequence[str]) -> tuple[str, str, str]:
    """Return the columns of x and y, and their unit: px, um or mm.

    Raises:
        TableError: there are none, or it is open which they are.
    """
    by_axis: dict[tuple[str, str], list[str]] = {}
    for name in header:
        for key in _parse_place_column(name):
            by_axis.setdefault(key, []).append(name)
    for kind in ("exact", "", "px", "um", "mm"):
        columns = [by_axis.get((axis, kind), []) for axis in ("x", "y")]
        if not all(columns):
            continue
        doubtful = next((names for names in columns if len(names) > 1), None)
        if doubtful:
            raise TableError(
                f"{path}: {' and '.join(doubtful)} may both be {_spell(doubtful[0])[-1]}; call "
                "the right columns x and y"
            )
        _refuse_boxes(path, header)
        return columns[0][0], columns[1][0], kind if kind in _UM_PER_UNIT else "px"
    absent = [axis for axis in ("x", "y") if not any(key[0] == axis for key in by_axis)]
    named = " and ".join(absent) or "x and y in one unit"
    more = f" and {len(header) - _MOST_NAMED} more" if len(header) > _MOST_NAMED else ""
    hint = suggest_name(absent[0], header) if len(absent) == 1 else ""
    raise TableError(
        f"{path}: has no column {named} (px of level 0); its columns are "
        f"{', '.join(header[:_MOST_NAMED])}{more}. Rename yours{hint}"
    )


def _parse_place_column(name: str) -> list[tuple[str, str]]:
    """Return what a column is: x or y, and "exact", "" or a unit; nothing where it is neither."""
    if name in ("x", "y"):
        return [(name, "exact"), (name, "")]
    apart = re.sub(rf"\b({'|'.join(_PLACE_WORDS)})([xy])\b", r"\1 \2", _spell(name))
    known = {*_UNITS, *_PLACE_WORDS}
    words = [word if word in known else word.removesuffix("s") for word in apart.split()]
    units = {_UNITS[word] for word in words if word in _UNITS}
    axes = [word for word in words if word not in _UNITS and word not in _PLACE_WORDS]
    if axes in (["x"], ["y"]) and len(units) <= 1:
        return [(axes[0], units.pop() if units else "")]
    return []


def _refuse_boxes(path: Path, header: Sequence[str]) -> None:
    """Refuse x and y beside a size: they may be a corner.

    Raises:
        TableError: there are width and height too.
    """
    spelt = {_spell(name) for name in header}
    for sides in ({"width", "height"}, {"w", "h"}):
        if sides <= spelt:
            raise TableError(
                f"{path}: has {' and '.join(sorted(sides))} beside x and y, which may then be a "
                "corner of a box or its centre; give the centres as x and y, without the size"
            )


def _select_rows(
    path: Path, raw: pd.DataFrame, slide: Path
) -> tuple[pd.Series, list[PointFailure]]:
    """Return which rows are of the slide, all of them where the table names no slides.

    Where it names slides, a row without a name is a failure.

    Raises:
        TableError: it names others alone.
    """
    everything = pd.Series(True, index=raw.index)
    column = _find_column([str(name) for name in raw.columns], _SLIDES)
    if column is None or raw.empty:
        return everything, []
    names = as_text(raw[column])
    if (names == "").all():
        return everything, []
    try:
        fitting = match_slide_names(names.unique(), slide)
    except ValueError as fault:
        raise TableError(f"{path}: {fault}; give the points of one slide alone") from fault
    if not fitting:
        # A figure table may have an image of each figure instead of a slide.
        if _spell(column) != "slide" and len(names) > 1 and names.is_unique:
            return everything, []
        others = names[names != ""].unique()
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise TableError(
            f"{path}: has no point of slide {slide.name}; its column {column} names "
            f"{', '.join(others[:3])}{more}. If the slide was searched and holds no figure, give "
            "it a table with the header alone"
        )
    nameless = [
        PointFailure(f"{path}, row {row}: names no {column}; left out", f"no {column}")
        for row in names.index[names == ""]
    ]
    return names.isin(fitting), nameless
