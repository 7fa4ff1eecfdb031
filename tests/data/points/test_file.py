from __future__ import annotations

from pathlib import Path

import pytest

from atypia.data.points.file import PointFile
from atypia.data.points.qupath_results import PointResult
from atypia.data.points.table import make_points
from atypia.errors import TableError

ROWS = [
    {"point_id": name, "x": x, "y": 2.0, "name": "", "place": name}
    for name, x in (("a", 1.0), ("b", 3.0))
]
FILE = PointFile(make_points(Path("points.csv"), ROWS))


def test_points_of_a_table_become_objects_with_ids_that_stay() -> None:
    result = PointResult("Atypical mitosis", (200, 0, 0), {"P(atypical)": 0.9})
    (first,) = FILE.give_back([None, result], "a.svs")
    assert first["geometry"] == {"type": "Point", "coordinates": [3.0, 2.0]}
    assert first["properties"]["objectType"] == "annotation"
    assert first["properties"]["measurements"] == {"P(atypical)": 0.9}
    (again,) = FILE.give_back([None, result], "a.svs", "detection")
    assert again["id"] == first["id"] and again["properties"]["objectType"] == "detection"
    (elsewhere,) = FILE.give_back([None, result], "b.svs")
    assert elsewhere["id"] != first["id"]


def test_a_table_has_no_outlines_to_measure() -> None:
    with pytest.raises(TableError, match="area in mm2"):
        next(FILE.outlines())
