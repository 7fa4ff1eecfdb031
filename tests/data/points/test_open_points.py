from __future__ import annotations

import json
from pathlib import Path

import pytest

from atypia.data.points.classes import ClassFilter
from atypia.data.points.open_points import open_points
from atypia.data.points.qupath import QuPathFile
from atypia.errors import TableError
from qupath_files import collection_of, point_at

SLIDE = Path("a.tiff")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("points.csv", "x,y\n8,4\n"),
        ("points.json", json.dumps({"points": [{"name": "", "point": [0.002, 0.001, 0]}]})),
        ("midog.json", json.dumps({"annotations": [{"id": 1, "bbox": [6, 2, 10, 6]}]})),
        ("points.geojson", json.dumps(collection_of(point_at(8, 4)))),
    ],
)
def test_every_form_gives_the_same_place(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    file = open_points(tmp_path / name, SLIDE, mpp=0.25)
    assert file.points.frame[["x", "y"]].to_numpy().tolist() == [[8, 4]]
    assert isinstance(file, QuPathFile) == name.endswith(".geojson")


def test_a_class_that_no_point_has_is_refused_whatever_the_form(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("x,y,class\n8,4,tumour\n")
    with pytest.raises(TableError, match="no point of class mitosis"):
        open_points(tmp_path / "points.csv", SLIDE, mpp=0.25, classes=ClassFilter(("mitosis",)))


def test_a_file_of_another_kind_is_refused_by_its_ending(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"points\.xml: .*\.geojson"):
        open_points(tmp_path / "points.xml", SLIDE, mpp=0.25)
