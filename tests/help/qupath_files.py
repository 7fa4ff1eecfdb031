"""Files as QuPath writes them, for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from atypia.data.points import qupath
from atypia.data.points.classes import ClassFilter
from atypia.data.points.document import read_document
from atypia.data.points.qupath import QuPathFile


def read_objects(path: Path, names: Sequence[str] = ()) -> QuPathFile:
    return qupath.read_objects(path, read_document(path), ClassFilter(tuple(names)))


ID = "0b7b2c1e-2a54-4f0e-9a3b-6f6d5f2f7a10"


def feature_of(geometry: object, **properties: object) -> dict:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def point_at(x: float, y: float, **properties: object) -> dict:
    return feature_of({"type": "Point", "coordinates": [x, y]}, **properties)


SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 20], [0, 20], [0, 0]]]}


def saved(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def collection_of(*features: object) -> dict:
    return {"type": "FeatureCollection", "features": list(features)}
