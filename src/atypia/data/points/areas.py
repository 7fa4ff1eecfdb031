"""The searched tissue, as outlined in QuPath."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import shapely
import shapely.errors
import shapely.geometry

from atypia.data.points.classes import format_counts
from atypia.data.points.file import PointFile
from atypia.data.points.qupath_object import NO_GEOMETRY
from atypia.errors import TableError, suggest_name


def unite_outlines(file: PointFile, name: str) -> shapely.Geometry:
    """Return the union of all areas of a class, px of level 0.

    Args:
        file: of points; only a QuPath GeoJSON has areas.
        name: of the class.

    Raises:
        TableError: there is no area of that class, or one cannot be understood.
    """
    path = file.points.path
    shapes = []
    others: Counter[str] = Counter()
    for own, feature in file.outlines():
        try:
            shape = shapely.geometry.shape(feature["geometry"])
        except NO_GEOMETRY:
            continue  # the reader of points has named it
        if shape.area == 0:
            continue
        if own != name:
            others[own] += 1
            continue
        shapes.append(shape)
    if not shapes:
        raise TableError(
            f"{path}: has no area of class {name}; its "
            f"areas are of these classes: {format_counts(others)}{suggest_name(name, others)}"
        )
    area = _join(shapes)
    if area is None or not (np.isfinite(area.area) and area.area > 0):
        raise TableError(f"{path}: an area of class {name} has no finite size; outline it again")
    return area


def _join(shapes: list[shapely.Geometry]) -> shapely.Geometry | None:
    """Return the union of outlines; None where their numbers are too large or not finite."""
    try:
        with np.errstate(all="ignore"):
            valid = [shape if shape.is_valid else shapely.make_valid(shape) for shape in shapes]
            return shapely.union_all(valid)
    except shapely.errors.GEOSException:
        return None


def lies_inside(
    area: shapely.Geometry, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Return which points, px of level 0, lie in an area or on its border, bool (N,)."""
    shapely.prepare(area)
    hits: npt.NDArray[np.bool_] = shapely.intersects_xy(area, x, y)
    return hits
