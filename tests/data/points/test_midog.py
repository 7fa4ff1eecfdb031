"""MIDOG's two forms of JSON give points in px of level 0."""

from __future__ import annotations

from pathlib import Path

import pytest

from atypia.data.points.midog import read_midog
from atypia.errors import TableError

PATH = Path("midog.json")
TRAINING = {
    "images": [{"id": 7, "file_name": "007.tiff"}, {"id": 8, "file_name": "008.tiff"}],
    "annotations": [
        {"bbox": [100, 200, 150, 250], "category_id": 1, "image_id": 7, "id": 31},
        {"bbox": [0, 0, 50, 50], "category_id": 2, "image_id": 7, "id": 31},
        {"bbox": [5, 5, 55, 55], "category_id": 1, "image_id": 8, "id": 33},
        {"bbox": [5, 5], "category_id": 1, "image_id": 7, "id": 34},
    ],
}
DETECTED = {
    "type": "Multiple points",
    "points": [
        {"name": "mitotic figure", "point": [0.25, 0.5, 0], "probability": 0.9},
        {"point": [None, 1]},
        {"point": [float("nan"), 1, 0]},
        "nothing",
    ],
    "version": {"major": 1, "minor": 0},
}


def test_boxes_of_one_slide_give_their_centres() -> None:
    points = read_midog(PATH, TRAINING, mpp=None, image="007.tiff")
    assert points.frame[["x", "y"]].to_numpy().tolist() == [[125, 225], [25, 25]]
    assert points.frame["name"].tolist() == ["mitotic figure", "hard negative"]
    assert points.frame["point_id"].tolist() == ["31", "31#2"]
    assert len(points.failures) == 1
    assert "annotation 4" in points.failures[0]


def test_which_slide_must_be_said_where_there_are_several() -> None:
    with pytest.raises(TableError, match=r"2 slides; say which one, e\.g\. 007\.tiff"):
        read_midog(PATH, TRAINING, mpp=None)
    with pytest.raises(TableError, match=r"has no slide 9\.tiff"):
        read_midog(PATH, TRAINING, mpp=None, image="9.tiff")


def test_millimetres_become_px() -> None:
    points = read_midog(PATH, DETECTED, mpp=0.25)
    assert points.frame[["x", "y"]].to_numpy().tolist() == [[1000, 2000]]
    assert len(points.failures) == 3
    with pytest.raises(TableError, match="give --mpp"):
        read_midog(PATH, DETECTED, mpp=None)


def test_other_json_is_refused() -> None:
    with pytest.raises(TableError, match="is no MIDOG JSON"):
        read_midog(PATH, [1], mpp=0.25)
