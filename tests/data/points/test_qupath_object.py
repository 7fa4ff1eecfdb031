from __future__ import annotations

from pathlib import Path

import pytest

from qupath_files import collection_of, feature_of, point_at, read_objects, saved


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        ({"type": "Circle", "coordinates": [1, 2]}, "geometry 'Circle' cannot be read"),
        ({"coordinates": [1, 2]}, "geometry None cannot be read"),
        ({"type": "Point"}, "geometry 'Point' cannot be read"),
        ({"type": "Point", "coordinates": []}, "geometry 'Point' cannot be read"),
        ({"type": "Point", "coordinates": ["1", 2]}, "expected two numbers, found ['1', 2]"),
        ({"type": "Point", "coordinates": "12"}, "expected two numbers"),
        ({"type": "Point", "coordinates": [True, 2]}, "expected two numbers"),
        ({"type": "Point", "coordinates": [10**400, 2]}, "geometry 'Point' cannot be read"),
        ({"type": "MultiPoint", "coordinates": []}, "geometry 'MultiPoint' is empty"),
        ({"type": "MultiPoint", "coordinates": [1, 2]}, "geometry 'MultiPoint' cannot be read"),
        ({"type": "GeometryCollection", "geometries": []}, "'GeometryCollection' is empty"),
        ([1, 2], "has no geometry but [1, 2]"),
    ],
)
def test_a_geometry_that_is_none_is_named(geometry: object, said: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.geojson", collection_of(point_at(1, 2), feature_of(geometry)))
    points = read_objects(path).points
    assert len(points) == 1
    (line,) = points.failures
    assert line.startswith(f"{path}, feature 2: ")
    assert said in line
    assert line.endswith("; left out")
    assert "\n" not in line


def test_a_point_may_have_a_height_and_no_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(
        """[{"geometry": {"type": "Point", "coordinates": [1, 2, 3]}},
            {"geometry": {"type": "Point", "coordinates": [NaN, 2]}},
            {"geometry": {"type": "Point", "coordinates": [1e999, 2]}}]"""
    )
    points = read_objects(path).points
    assert points.frame[["x", "y"]].to_numpy().tolist() == [[1.0, 2.0]]
    assert [line.split(": ")[1] for line in points.failures] == [
        "x nan, y 2.0 is not a position on a slide; give finite numbers",
        "x inf, y 2.0 is not a position on a slide; give finite numbers",
    ]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ('{"name": "Mitosis", "color": [255, 0, 0]}', "Mitosis"),
        ('{"names": ["Tumour", "Edge"]}', "Tumour: Edge"),
        ("Mitosis", "Mitosis"),
        ("{Mitosis", "{Mitosis"),
        (["Tumour", "Edge"], "Tumour: Edge"),
        ({"name": None}, ""),
        (None, ""),
    ],
)
def test_a_class_is_known_in_every_form(given: object, name: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.geojson", collection_of(point_at(1, 2, classification=given)))
    assert read_objects(path).points.frame["name"].tolist() == [name]
