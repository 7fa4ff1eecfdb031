"""Points from whatever file they come in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from atypia.data.points.classes import ClassFilter
from atypia.data.points.document import read_document
from atypia.data.points.file import PointFile
from atypia.data.points.from_table import read_point_table
from atypia.data.points.midog import read_midog
from atypia.data.points.qupath import read_objects
from atypia.data.table_io import TABLE_SUFFIXES
from atypia.errors import TableError

_JSON = (".geojson", ".json", ".gz", ".zip")
_ANY_CLASS = ClassFilter()


def open_points(
    path: Path, slide: Path, *, mpp: float, classes: ClassFilter = _ANY_CLASS
) -> PointFile:
    """Open the points of one slide.

    Args:
        path: QuPath GeoJSON (.geojson or .json, plain, .gz or .zip), MIDOG JSON in both forms, or a
            table with x and y.
        slide: the slide; of a file that names its slides its own points are taken.
        mpp: um/px of the slide's level 0, for coordinates in um or mm.
        classes: which points are taken.

    Returns:
        The file; of a GeoJSON a `QuPathFile`. No points: it says that there are none.

    Raises:
        TableError: the file cannot be read, is of no such form, is of other slides, holds no point
            of a class asked for, or none that can be used.
    """
    if path.suffix.lower() in TABLE_SUFFIXES:
        return _explain(PointFile(read_point_table(path, slide, mpp=mpp, classes=classes)), classes)
    if path.suffix.lower() not in _JSON:
        raise TableError(
            f"{path}: no points; expected a file that ends in "
            f"{', '.join((*_JSON, *TABLE_SUFFIXES))}"
        )
    document = read_document(path)
    if isinstance(document, dict) and ("annotations" in document or "points" in document):
        points = read_midog(path, document, slide, mpp=mpp, classes=classes)
        return _explain(PointFile(points), classes)
    return _explain(read_objects(path, document, classes, mpp), classes)


def _explain(file: PointFile, classes: ClassFilter) -> PointFile:
    """Add what is to be said of the classes.

    Raises:
        TableError: there is no point of the classes asked for.
    """
    points = file.points
    remarks = classes.remarks(points.path, points.classes, points.outlines)
    return replace(file, points=replace(points, warnings=(*points.warnings, *remarks)))
