"""The area that was searched is that of the outlines of its class, or is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atypia.data.points.areas import unite_outlines
from atypia.data.points.document import read_document
from atypia.data.points.qupath import read_objects
from atypia.errors import TableError


def _area(folder: Path, *geometries: dict[str, object]) -> float:
    path = folder / "areas.geojson"
    properties = {"classification": {"name": "Tumor"}}
    features = [
        {"type": "Feature", "geometry": geometry, "properties": properties}
        for geometry in geometries
    ]
    point = {"type": "Point", "coordinates": [1, 1]}
    features.append({"type": "Feature", "geometry": point, "properties": {}})
    path.write_text(json.dumps(features))
    return float(unite_outlines(read_objects(path, read_document(path)), "Tumor").area)


def _square(left: float, side: float) -> dict[str, object]:
    right = left + side
    ring = [[left, 0], [right, 0], [right, side], [left, side], [left, 0]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_areas_that_overlap_count_once(tmp_path: Path) -> None:
    assert _area(tmp_path, _square(0, 10), _square(5, 10)) == 150


@pytest.mark.parametrize("number", [1e308, float("inf"), float("nan")])
def test_outlines_without_a_finite_size_are_refused(tmp_path: Path, number: float) -> None:
    hole = [[[9, 0], [9, 9], [number, 9], [0, 0]], [[1, 1], [2, 1], [1, 1]]]
    other = [[[0, 0], [9, 0], [9, 9], [number, 9], [0, 0]], [[1, 1], [2, 2], [1, 1]]]
    geometry = {"type": "MultiPolygon", "coordinates": [hole, other]}
    with pytest.raises(TableError, match="an area of class Tumor has no finite size"):
        _area(tmp_path, geometry)


def test_an_outline_of_numbers_beyond_float_is_none(tmp_path: Path) -> None:
    beyond = {"type": "Polygon", "coordinates": [[[0, 0], [10**400, 0], [0, 9], [0, 0]]]}
    assert _area(tmp_path, beyond, _square(0, 10)) == 100
