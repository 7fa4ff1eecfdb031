"""Points from whatever file they come in."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from atypia.data.points.document import read_document
from atypia.data.points.midog import read_midog
from atypia.data.points.qupath import Objects, read_objects
from atypia.data.points.table import Points, points_of
from atypia.data.raw import TABLE_SUFFIXES, read_raw
from atypia.errors import TableError

_JSON = (".geojson", ".json", ".gz", ".zip")


def open_points(
    path: Path, slide: Path, *, mpp: float, names: Sequence[str] = ()
) -> Points | Objects:
    """Open the points of one slide.

    Args:
        path: QuPath GeoJSON (.geojson or .json, plain, .gz or .zip), MIDOG JSON in both forms, or a
            table (.csv, .parquet) with the columns x and y (px of level 0) and, if it has them,
            point_id, name, and slide (file name of the slide, with or without its ending).
        slide: the slide; of a file with points of several slides its own are taken.
        mpp: um/px of the slide's level 0, for coordinates in mm.
        names: take points of these classes only; none takes all of them.

    Returns:
        Objects, which can be given back to QuPath, of a GeoJSON; points of anything else.

    Raises:
        TableError: the file cannot be read, is of no such form, or holds no point of this slide.
    """
    if path.suffix.lower() in TABLE_SUFFIXES:
        return _named(_from_table(path, slide), names)
    if path.suffix.lower() not in _JSON:
        raise TableError(
            f"{path}: no points; expected a file that ends in "
            f"{', '.join((*_JSON, *TABLE_SUFFIXES))}"
        )
    document = read_document(path)
    if isinstance(document, dict) and ("annotations" in document or "points" in document):
        files = {one.get("file_name") for one in _dicts(document.get("images"))}
        own = slide.name if slide.name in files or len(files) > 1 else None
        return _named(read_midog(path, document, mpp=mpp, image=own), names)
    return read_objects(path, document, names)


def _dicts(given: Any) -> list[dict[str, Any]]:
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def _named(points: Points, names: Sequence[str]) -> Points:
    """Take points of some classes only."""
    if not names:
        return points
    frame = points.frame[points.frame["name"].isin(names)].reset_index(drop=True)
    if frame.empty:
        there = sorted(set(points.frame["name"]))
        raise TableError(
            f"{points.path}: has no point of class {', '.join(names)}; its classes are "
            f"{', '.join(repr(one) for one in there[:5])}"
        )
    return replace(points, frame=frame)


def _from_table(path: Path, slide: Path) -> Points:
    raw = read_raw(path)
    for needed in ("x", "y"):
        if needed not in raw.columns:
            near = difflib.get_close_matches(needed, list(raw.columns), n=1, cutoff=0.0)
            raise TableError(f"{path}: has no column {needed} (px of level 0); is it {near[0]!r}?")
    if "slide" in raw.columns:
        mine = raw["slide"].astype(str).isin({slide.name, slide.stem})
        if not mine.any():
            first = str(raw["slide"].iloc[0]) if len(raw) else ""
            raise TableError(f"{path}: has no point of slide {slide.name}; its first is {first!r}")
        raw = raw[mine]
    places = raw[["x", "y"]].apply(pd.to_numeric, errors="coerce")
    count = len(raw)
    ids = raw["point_id"] if "point_id" in raw.columns else [str(n + 1) for n in range(count)]
    name = raw["name"] if "name" in raw.columns else np.full(count, "")
    frame = places.assign(point_id=ids, name=name, place=[f"row {n}" for n in raw.index])
    return points_of(path, frame.astype({"point_id": str}), [])
