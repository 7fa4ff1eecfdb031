"""MIDOG's two forms of JSON give points in px of level 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from atypia.data.points.classes import ClassFilter
from atypia.data.points.midog import read_midog
from atypia.errors import TableError

PATH = Path("midog.json")
SLIDE = Path("s.tif")
TRAINING: dict[str, Any] = {
    "images": [{"id": 7, "file_name": "007.tiff"}, {"id": 8, "file_name": "008.tiff"}],
    "annotations": [
        {"bbox": [100, 200, 150, 250], "category_id": 1, "image_id": 7, "id": 31},
        {"bbox": [300, 320, 350, 370], "category_id": 1, "image_id": 7, "id": 31},
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
    points = read_midog(PATH, TRAINING, Path("slides/007.tiff"), mpp=None)
    assert points.frame[["x", "y"]].to_numpy().tolist() == [[125, 225], [325, 345]]
    assert points.frame["name"].tolist() == ["mitotic figure", "mitotic figure"]
    assert points.frame["point_id"].tolist() == ["31", "31#2"]
    assert "1 ids occur more than once (the first: 31)" in points.warnings[0]
    assert len(points.failures) == 1
    assert "annotation 4" in points.failures[0]


@pytest.mark.parametrize("name", ["9.tiff", "7.tiff"])
def test_a_slide_that_is_not_in_the_list_is_refused(name: str) -> None:
    with pytest.raises(TableError, match=r"has no slide .*; its points are of 007.tiff, 008.tiff"):
        read_midog(PATH, TRAINING, Path(name), mpp=None)


def test_the_files_own_categories_hold() -> None:
    own = {
        "images": [{"id": "a", "file_name": r"scans\s.tif"}],
        "categories": [{"id": 0, "name": "normal"}, {"id": 1, "name": "atypical"}, {"id": 5}],
        "annotations": [
            {"bbox": [900, 900, 940, 940], "category_id": 0, "image_id": "a"},
            {"bbox": [800, 800, 840, 840], "category_id": 1, "image_id": "a", "id": 0},
            {"bbox": [700, 700, 740, 740], "category_id": 2, "image_id": "a"},
        ],
    }
    points = read_midog(PATH, own, SLIDE, mpp=0.25)
    assert points.frame["name"].tolist() == ["normal", "atypical", ""]
    assert points.frame["point_id"].tolist() == ["1", "0", "3"]
    assert points.classes == {"normal": 1, "atypical": 1, "": 1}
    only = read_midog(PATH, own, SLIDE, mpp=0.25, classes=ClassFilter(("atypical",)))
    assert only.frame["point_id"].tolist() == ["0"]


def test_hard_negatives_are_no_figures_unless_asked_for() -> None:
    annotations = [
        {"bbox": [n, n, n + 50, n + 50], "category_id": 1 + n % 2, "image_id": 1, "id": n}
        for n in (900, 901, 902)
    ]
    document = {"images": [{"id": 1, "file_name": "s.tif"}], "annotations": annotations}
    points = read_midog(PATH, document, SLIDE, mpp=0.25)
    assert points.frame["point_id"].tolist() == ["900", "902"]
    assert points.classes == {"mitotic figure": 2, "hard negative": 1}
    asked = ClassFilter(("hard negative",))
    assert len(read_midog(PATH, document, SLIDE, mpp=0.25, classes=asked)) == 1
    detected = {"points": [{"name": "non-mitotic figure", "point": [1, 1, 0]}]}
    assert len(read_midog(PATH, detected, SLIDE, mpp=0.25)) == 0


def test_a_listed_slide_without_annotations_holds_no_figure() -> None:
    listed = {"images": [*TRAINING["images"], {"id": 9, "file_name": "009.tiff"}]}
    document = {**TRAINING, **listed}
    assert len(read_midog(PATH, document, Path("009.tiff"), mpp=None)) == 0
    assert len(read_midog(PATH, {"points": []}, SLIDE, mpp=0.25)) == 0


def test_annotations_of_an_image_that_the_file_lacks_are_named() -> None:
    stray = {"bbox": [900, 900, 950, 950], "category_id": 1, "image_id": 70}
    document = {**TRAINING, "annotations": [*TRAINING["annotations"], stray, 7]}
    points = read_midog(PATH, document, Path("008.tiff"), mpp=None)
    assert len(points) == 1
    assert "annotation 5: is of image 70, which 'images' lacks" in points.failures[0]
    assert "annotation 6: is not an object but 7" in points.failures[1]


def test_a_list_that_names_no_slide_is_of_the_slide_at_hand() -> None:
    annotations = TRAINING["annotations"][:1]
    for images in ([{"id": 7}], [{"id": 7, "file_name": ""}], []):
        document = {"images": images, "annotations": annotations}
        assert len(read_midog(PATH, document, SLIDE, mpp=0.25)) == 1


def test_millimetres_become_px() -> None:
    points = read_midog(PATH, DETECTED, SLIDE, mpp=0.25)
    assert points.frame[["x", "y"]].to_numpy().tolist() == [[1000, 2000]]
    assert len(points.failures) == 3
    with pytest.raises(TableError, match="give --mpp"):
        read_midog(PATH, DETECTED, SLIDE, mpp=None)


def test_other_json_is_refused() -> None:
    with pytest.raises(TableError, match="is not a MIDOG JSON"):
        read_midog(PATH, [1], SLIDE, mpp=0.25)


def test_half_a_character_in_a_class_is_written_as_its_number() -> None:
    detected = {"points": [{"name": "\ud800", "point": [0.25, 0.5]}]}
    points = read_midog(PATH, detected, SLIDE, mpp=0.25)
    assert points.frame["name"].tolist() == ["\\ud800"]
    box = {"bbox": [0, 0, 50, 50], "category_id": 1}
    trained = {"categories": [{"id": 1, "name": "\ud800"}], "annotations": [box]}
    points = read_midog(PATH, trained, SLIDE, mpp=None)
    assert points.frame["name"].tolist() == ["\\ud800"]
    assert points.classes == {"\\ud800": 1}
