"""MIDOG's lists of mitotic figures: the training sets' JSON, and a detector's answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from atypia.data.points.boxes import read_centres
from atypia.data.points.classes import ClassFilter
from atypia.data.points.slide_names import match_slide_names
from atypia.data.points.table import PointFailure, Points, make_points
from atypia.errors import TableError, abbreviate
from atypia.files import escape_text, write_output

# What the training sets' category_id means in a file that does not say it itself.
_CATEGORIES = {"1": "mitotic figure", "2": "hard negative"}
_ANY_CLASS = ClassFilter()


def read_midog(
    path: Path,
    document: Any,
    slide: Path,
    *,
    mpp: float | None,
    classes: ClassFilter = _ANY_CLASS,
) -> Points:
    """Read points of one slide.

    Args:
        path: file that `document` came from.
        document: of the training sets or a COCO (`images`, `annotations`; a point is the centre of
            a box) or of a detector (`type` "Multiple points"; coordinates in mm).
        slide: the slide; where the document names slides, its own points are taken.
        mpp: um/px of the slide's level 0; a detector's mm are turned into px by it.
        classes: which points are taken.

    Raises:
        TableError: it is neither form, the slide is not in it, or mpp is needed and not known.
    """
    if isinstance(document, dict) and isinstance(document.get("annotations"), list):
        return _read_annotations(path, document, slide, mpp, classes)
    if isinstance(document, dict) and isinstance(document.get("points"), list):
        return _read_detections(path, document["points"], mpp, classes)
    raise TableError(
        f"{path}: is not a MIDOG JSON, expected 'annotations' (training set) or 'points' (detector)"
    )


def write_midog(path: Path, figures: Iterable[tuple[float, float, str, float]], mpp: float) -> None:
    """Write classified figures as a detector's answer is written.

    Args:
        path: of the file.
        figures: of each x and y (px of level 0), its class in words, and P(atypical).
        mpp: um/px of the slide's level 0; coordinates are written in mm.
    """
    points = [
        {"name": name, "point": [x * mpp / 1000, y * mpp / 1000, 0], "probability": p}
        for x, y, name, p in figures
    ]
    document = {
        "type": "Multiple points",
        "points": points,
        "version": {"major": 1, "minor": 0},
    }
    write_output(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def _read_annotations(
    path: Path, document: dict[str, Any], slide: Path, mpp: float | None, classes: ClassFilter
) -> Points:
    images = {
        str(annotation.get("id")): annotation
        for annotation in _only_objects(document.get("images"))
    }
    own = _find_own_images(path, images, slide)
    categories = {
        str(annotation.get("id")): escape_text(str(annotation.get("name") or ""))
        for annotation in _only_objects(document.get("categories"))
    } or _CATEGORIES
    counts: Counter[str] = Counter(dict.fromkeys(categories.values(), 0))
    failures: list[PointFailure] = []
    taken: list[dict[str, Any]] = []
    annotations = document["annotations"]
    for number, annotation in enumerate(annotations, start=1):
        place = f"annotation {number}"
        if not isinstance(annotation, dict):
            line = f"{path}, {place}: is not an object but {abbreviate(annotation)}; left out"
            failures.append(PointFailure(line, "no object"))
            continue
        if images and str(annotation.get("image_id")) not in images:
            image_id = abbreviate(annotation.get("image_id"))
            line = f"{path}, {place}: is of image {image_id}, which 'images' lacks"
            failures.append(PointFailure(f"{line}; left out", "an image that is not in the file"))
            continue
        if images and str(annotation.get("image_id")) not in own:
            continue
        name = categories.get(str(annotation.get("category_id")), "")
        counts[name] += 1
        if classes.takes(name):
            own_id = annotation.get("id")
            point_id = escape_text(str(number if own_id is None else own_id))
            taken.append({"point_id": point_id, "name": name, "place": place, "of": annotation})
    read = read_centres(path, annotations, images, [annotation["of"] for annotation in taken], mpp)
    rows = []
    for annotation, centre in zip(taken, read.centres, strict=True):
        if isinstance(centre, str):
            line = f"{path}, {annotation['place']}: {centre}; left out"
            failures.append(PointFailure(line, "no box of four numbers"))
        else:
            rows.append({**annotation, "x": centre[0], "y": centre[1]})
        del annotation["of"]
    points = make_points(path, rows, failures, counts)
    return replace(points, warnings=(*read.warnings, *points.warnings))


def _find_own_images(path: Path, images: dict[str, dict[str, Any]], slide: Path) -> set[str]:
    """Return the ids of the images that are the slide; any image that has no name may be it.

    Raises:
        TableError: the file names its slides, and this is none of them.
    """
    named = {
        key: str(image["file_name"]) for key, image in images.items() if image.get("file_name")
    }
    if not named and len(images) <= 1:
        return set(images)
    try:
        fitting = match_slide_names(named.values(), slide)
    except ValueError as fault:
        raise TableError(f"{path}: {fault}; give the points of one slide alone") from fault
    if not fitting:
        others = list(dict.fromkeys(named.values()))
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise TableError(
            f"{path}: has no slide {slide.name}; its points are of "
            f"{', '.join(others[:3]) or 'slides without a name'}{more}. If they are of this slide, "
            f"write {slide.name} as the file_name of its image"
        )
    return {key for key, name in named.items() if name in fitting}


def _only_objects(values: Any) -> list[dict[str, Any]]:
    return (
        [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
    )


def _read_detections(
    path: Path, detections: list[Any], mpp: float | None, classes: ClassFilter
) -> Points:
    if mpp is None:
        raise TableError(
            f"{path}: is in mm, and the pixel size of the slide is not known; give --mpp"
        )
    rows: list[dict[str, object]] = []
    failures: list[PointFailure] = []
    counts: Counter[str] = Counter()
    for number, detection in enumerate(detections, start=1):
        place = f"point {number}"
        name = escape_text(str(detection.get("name") or "")) if isinstance(detection, dict) else ""
        counts[name] += 1
        if not classes.takes(name):
            continue
        try:
            x_mm, y_mm = map(float, detection["point"][:2])
        except (KeyError, TypeError, ValueError, OverflowError):
            line = f"{path}, {place}: has no position of two numbers; left out"
            failures.append(PointFailure(line, "no position of two numbers"))
            continue
        x, y = x_mm * 1000 / mpp, y_mm * 1000 / mpp
        rows.append({"point_id": str(number), "x": x, "y": y, "name": name, "place": place})
    return make_points(path, rows, failures, counts)
