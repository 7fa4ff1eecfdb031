"""TIAToolbox's JSON: QuPath gets all that it says, under the names that QuPath reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atypia.data.points.open_points import open_points
from atypia.data.points.qupath import QuPathFile
from atypia.data.points.qupath_results import PointResult, write_features
from qupath_files import collection_of, point_at, saved
from qupath_parser import qupath_reads

GOLDEN = Path(__file__).with_name("tiatoolbox_detections.json")
RESULT = PointResult("Atypical mitosis", (213, 94, 0), {"P(atypical)": 0.75})


def read(path: Path = GOLDEN, origin_px: tuple[int, int] = (0, 0)) -> QuPathFile:
    file = open_points(path, Path("a.tiff"), mpp=0.25, origin_px=origin_px)
    assert isinstance(file, QuPathFile)
    return file


def given_back(file: QuPathFile, out: Path) -> list[dict]:
    write_features(out, file.give_back([RESULT] * len(file.points), "a.tiff"), file.members)
    return qupath_reads(out)


def test_its_mitoses_are_points_and_what_is_no_mitosis_is_left_out() -> None:
    points = read().points
    assert points.frame[["x", "y"]].to_numpy().tolist() == [[20, 60], [60, 60]]
    assert points.classes == {"Mitotic_Figure": 2, "Non_Mitotic_Figure": 1}
    assert "1 of 3 points are no mitosis" in points.warnings[-1]


def test_qupath_keeps_class_id_type_and_both_probabilities(tmp_path: Path) -> None:
    objects = given_back(read(), tmp_path / "out.geojson")
    assert [each["type"] for each in objects] == ["detection"] * 3
    assert [each["class"] for each in objects] == ["Atypical mitosis"] * 2 + ["Non_Mitotic_Figure"]
    assert [each["name"] for each in objects] == ["Mitotic_Figure"] * 2 + ["Non_Mitotic_Figure"]
    assert objects[0]["measurements"] == {"P(atypical)": 0.75, "Detection probability": 0.9375}
    assert objects[2]["measurements"] == {"Detection probability": 0.25}
    written = json.loads((tmp_path / "out.geojson").read_text())["features"]
    assert [each["properties"]["metadata"] for each in written] == [
        {"Detection id": "detection_0", "Detected class": "Mitotic_Figure"},
        {"Detection id": "detection_1", "Detected class": "Mitotic_Figure"},
        {"Detection id": "detection_2", "Detected class": "Non_Mitotic_Figure"},
    ]
    assert [each["class_value"] for each in written] == [0, 0, 1]


def test_ids_are_those_of_the_next_run_and_the_next_reading(tmp_path: Path) -> None:
    out = tmp_path / "out.geojson"
    first = given_back(read(), out)
    # With a lower threshold the same detection has another number.
    document = json.loads(GOLDEN.read_text())
    document["features"].reverse()
    for number, feature in enumerate(document["features"]):
        feature["id"] = f"detection_{number}"
    again = given_back(read(saved(tmp_path / GOLDEN.name, document)), tmp_path / "again.geojson")
    assert [each["id"] for each in again] == [each["id"] for each in first][::-1]
    # What was written is QuPath's from then on.
    twice = given_back(read(out), tmp_path / "twice.geojson")
    assert twice == first


def test_coordinates_count_from_where_qupath_counts(tmp_path: Path) -> None:
    file = read(origin_px=(15, 50))
    assert file.points.frame[["x", "y"]].to_numpy().tolist() == [[5, 10], [45, 10]]
    (first, *_) = given_back(file, tmp_path / "out.geojson")
    assert first["geometry"]["coordinates"] == [5, 10]


def test_a_number_is_a_class_and_a_strange_probability_stays_where_it_is(tmp_path: Path) -> None:
    feature = point_at(8, 4, classification={"name": 3, "color": [1, 2, 3]}, probability="high")
    outside = {"id": "detection_0", "objectType": "detection", "name": 3, "class_value": 3}
    file = read(saved(tmp_path / "a.json", collection_of(feature | outside)))
    assert file.points.frame["name"].tolist() == ["3"]
    (given,) = file.give_back([RESULT], "a.tiff")
    assert given["properties"]["probability"] == "high"
    assert given["properties"]["measurements"] == {"P(atypical)": 0.75}


@pytest.mark.parametrize(
    "feature",
    [
        {"id": "detection_0", "objectType": "detection"},
        {"id": "detection_0", "geometry": [], "objectType": "detection", "properties": 3},
        {"id": "d", "geometry": {"type": "Point"}, "properties": {"probability": 0.5}},
    ],
)
def test_a_feature_without_a_place_is_named_and_the_others_are_read(
    feature: dict, tmp_path: Path
) -> None:
    good = json.loads(GOLDEN.read_text())["features"][0]
    file = read(saved(tmp_path / "a.json", collection_of(feature, good)), (15, 50))
    assert len(file.points) == 1
    assert "a.json, feature 1: " in file.points.failures[0]
    assert len(list(file.give_back([RESULT], "a.tiff"))) == 2
