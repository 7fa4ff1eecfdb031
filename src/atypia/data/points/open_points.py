"""Open points of any supported format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from atypia.data.points.annotation_store import STORE_SUFFIX, AnnotationStore
from atypia.data.points.classes import ClassFilter
from atypia.data.points.document import read_document
from atypia.data.points.file import PointFile
from atypia.data.points.from_table import read_point_table
from atypia.data.points.midog import read_midog
from atypia.data.points.qupath import read_objects
from atypia.data.points.tiatoolbox import is_tiatoolbox, translate_detections
from atypia.data.table_io import TABLE_SUFFIXES
from atypia.errors import TableError

_JSON = (".geojson", ".json", ".gz", ".zip")
_ANY_CLASS = ClassFilter()


def open_points(
    path: Path,
    slide: Path,
    *,
    mpp: float,
    classes: ClassFilter = _ANY_CLASS,
    origin_px: tuple[int, int] = (0, 0),
) -> PointFile:
    """Open the points of one slide.

    Args:
        path: QuPath GeoJSON (.geojson or .json, plain, .gz or .zip), MIDOG JSON in both forms,
            TIAToolbox's JSON or AnnotationStore (.db), or a table with x and y.
        slide: the slide; of a file that names its slides its own points are taken.
        mpp: um/px of the slide's level 0, for coordinates in um or mm.
        classes: which points are taken.
        origin_px: where points count from, px of level 0; TIAToolbox's count from the corner.

    Returns:
        The file; of a GeoJSON or of TIAToolbox a `QuPathFile`. No points: it says that there are
        none.

    Raises:
        TableError: the file cannot be read, has another format, is of other slides, has no point
            of a class asked for, or none that can be used.
    """
    if path.suffix.lower() in TABLE_SUFFIXES:
        return _explain(PointFile(read_point_table(path, slide, mpp=mpp, classes=classes)), classes)
    if path.suffix.lower() == STORE_SUFFIX:
        store = AnnotationStore(path, origin_px)
        return _explain(read_objects(path, store, classes, mpp), classes)
    if path.suffix.lower() not in _JSON:
        raise TableError(
            f"{path}: not a file of points; expected a file that ends in "
            f"{', '.join((*_JSON, STORE_SUFFIX, *TABLE_SUFFIXES))}"
        )
    document = read_document(path)
    if isinstance(document, dict) and ("annotations" in document or "points" in document):
        points = read_midog(path, document, slide, mpp=mpp, classes=classes)
        return _explain(PointFile(points), classes)
    if is_tiatoolbox(document):
        document = translate_detections(document, path, origin_px)
    return _explain(read_objects(path, document, classes, mpp), classes)


def _explain(file: PointFile, classes: ClassFilter) -> PointFile:
    """Add what is to be said of the classes.

    Raises:
        TableError: there is no point of the classes asked for.
    """
    points = file.points
    remarks = classes.remarks(points.path, points.classes, points.outlines)
    return replace(file, points=replace(points, warnings=(*points.warnings, *remarks)))
