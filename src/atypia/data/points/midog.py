"""MIDOG's lists of mitotic figures: the training sets' JSON, and a detector's answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from atypia.data.points.table import Points, points_of
from atypia.errors import TableError
from atypia.files import write_output

# category_id of the training sets' JSON.
CATEGORIES = {1: "mitotic figure", 2: "hard negative"}


def read_midog(path: Path, document: Any, *, mpp: float | None, image: str | None = None) -> Points:
    """Read points of one slide.

    Args:
        path: file that `document` came from.
        document: of the training sets (`images`, `annotations`; a point is the centre of a box) or
            of a detector (`type` "Multiple points"; coordinates in mm).
        mpp: um/px of the slide's level 0; a detector's mm are turned into px by it.
        image: file name of the slide, where the document has several.

    Raises:
        TableError: it is neither form, the slide is not in it, or mpp is needed and not known.
    """
    if isinstance(document, dict) and isinstance(document.get("annotations"), list):
        return _boxes(path, document, image)
    if isinstance(document, dict) and isinstance(document.get("points"), list):
        return _detections(path, document["points"], mpp)
    raise TableError(
        f"{path}: is no MIDOG JSON, expected 'annotations' (training set) or 'points' (detector)"
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


def _boxes(path: Path, document: dict[str, Any], image: str | None) -> Points:
    images = [one for one in document.get("images", []) if isinstance(one, dict)]
    names = {one.get("file_name"): one.get("id") for one in images}
    if image is None and len(names) != 1:
        raise TableError(
            f"{path}: holds points of {len(names)} slides; say which one, e.g. "
            f"{', '.join(map(str, list(names)[:3]))}"
        )
    if image is not None and image not in names:
        raise TableError(
            f"{path}: has no slide {image}; it has {', '.join(map(str, list(names)[:3]))}, ..."
        )
    own = names[image] if image is not None else next(iter(names.values()))
    rows: list[dict[str, object]] = []
    failures: list[str] = []
    for number, one in enumerate(document["annotations"]):
        if not isinstance(one, dict) or one.get("image_id") != own:
            continue
        place = f"annotation {number + 1}"
        try:
            left, top, right, bottom = map(float, one["bbox"])
        except (KeyError, TypeError, ValueError):
            failures.append(f"{path}, {place}: has no bbox of four numbers; left out")
            continue
        rows.append(
            {
                "point_id": str(one.get("id", number + 1)),
                "x": (left + right) / 2,
                "y": (top + bottom) / 2,
                "name": CATEGORIES.get(one.get("category_id", 0), ""),
                "place": place,
            }
        )
    return points_of(path, rows, failures)


def _detections(path: Path, given: list[Any], mpp: float | None) -> Points:
    if mpp is None:
        raise TableError(
            f"{path}: holds mm, and the slide does not say how large a pixel is; give --mpp"
        )
    rows: list[dict[str, object]] = []
    failures: list[str] = []
    for number, one in enumerate(given):
        place = f"point {number + 1}"
        try:
            x_mm, y_mm = map(float, one["point"][:2])
        except (KeyError, TypeError, ValueError):
            failures.append(f"{path}, {place}: has no place of two numbers; left out")
            continue
        rows.append(
            {
                "point_id": str(number + 1),
                "x": x_mm * 1000 / mpp,
                "y": y_mm * 1000 / mpp,
                "name": str(one.get("name") or ""),
                "place": place,
            }
        )
    return points_of(path, rows, failures)
