"""Tables of points as QuPath, detectors and figure tables write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atypia.data.points.classes import ClassFilter
from atypia.data.points.from_table import read_point_table
from atypia.data.points.table import Points
from atypia.errors import TableError

SLIDE = Path("scans/a.svs")


def _read(folder: Path, *lines: str, names: tuple[str, ...] = ()) -> Points:
    path = folder / "p.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_point_table(path, SLIDE, mpp=0.25, classes=ClassFilter(names))


@pytest.mark.parametrize(
    "header",
    [
        *("x,y", "X,Y", "x_px,y_px", "X (px),Y (px)", "Centroid X px,Centroid Y px"),
        *("coordinateX,coordinateY", "centroidx,centroidy", "x-coordinate,y-coordinate"),
        *("center_x,center_y", "x [pixels],y [pixels]"),
    ],
)
def test_columns_of_px_are_known_by_many_names(tmp_path: Path, header: str) -> None:
    points = _read(tmp_path, header, "64,128.5")
    assert points.frame[["x", "y"]].to_numpy().tolist() == [[64, 128.5]]
    assert points.warnings == ()


@pytest.mark.parametrize(
    ("header", "scale"),
    [
        ("Centroid X µm,Centroid Y µm", 4),
        ("x_um,y_um", 4),
        ("X (microns),Y (microns)", 4),
        ("x [mm],y [mm]", 4000),
    ],
)
def test_a_unit_in_the_name_is_not_taken_for_px(tmp_path: Path, header: str, scale: int) -> None:
    points = _read(tmp_path, header, "16,32.5")
    np.testing.assert_allclose(points.frame[["x", "y"]], [[16 * scale, 32.5 * scale]])
    assert "taken at 0.25 um/px" in points.warnings[0]
    px = _read(tmp_path, f"{header},Centroid X px,Centroid Y px", "16,32.5,1,2")
    assert px.frame[["x", "y"]].to_numpy().tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("a,b", "has no column x and y .*; its columns are a, b"),
        ("x,Object ID", "has no column y .*; its columns are x, Object ID"),
        ("X,Y µm", "has no column x and y in one unit"),
        ("center x,pos_x,y px,Y", "center x and pos_x may both be x"),
        ("x,y,width,height", "may then be a corner of a box or its centre"),
    ],
)
def test_columns_that_leave_it_open_are_refused(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(TableError, match=said) as refused:
        _read(tmp_path, header, ",".join("1" * len(header.split(","))))
    assert "is it" not in str(refused.value)


@pytest.mark.parametrize("name", ["figure_id", "point_id", "id", "Object ID", "uid"])
def test_points_keep_their_ids_as_they_are_written(tmp_path: Path, name: str) -> None:
    points = _read(tmp_path, f"{name},x,y", "007,1,2", "1e5,3,4", ",5,6", "007,7,8")
    assert points.frame["point_id"].tolist() == ["007", "1e5", "3", "007#2"]
    assert "1 ids occur more than once (the first: 007)" in points.warnings[0]


def test_rows_of_the_slide_are_taken_whatever_folder_it_was_in(tmp_path: Path) -> None:
    rows = (r"D:\scans\a.svs,1,2", "other/b.svs,3,4", r"D:\scans\a.svs,5,6", ",7,8")
    points = _read(tmp_path, "Image,X,Y", *rows)
    assert points.frame["x"].tolist() == [1, 5]
    assert points.failures == (f"{tmp_path / 'p.csv'}, row 5: names no Image; left out",)
    with pytest.raises(TableError, match=r"no point of slide a.svs; its column slide names b.svs"):
        _read(tmp_path, "slide,x,y", "b.svs,1,2")


def test_images_of_the_figures_are_no_slides(tmp_path: Path) -> None:
    points = _read(tmp_path, "image,x,y", "1.png,1,2", "2.png,3,4")
    assert len(points) == 2


def test_classes_are_counted_on_the_slide_and_known_from_the_whole_table(tmp_path: Path) -> None:
    lines = ("slide,x,y,Classification", "a,1,2,Mitosis", "a,3,4,Non-mitosis", "b,5,6,Refer")
    points = _read(tmp_path, *lines)
    assert points.frame["x"].tolist() == [1]
    assert points.classes == {"Mitosis": 1, "Non-mitosis": 1, "Refer": 0}
    assert _read(tmp_path, *lines, names=("Non-mitosis",)).frame["x"].tolist() == [3]
    assert len(_read(tmp_path, *lines, names=("Refer",))) == 0


def test_a_header_alone_is_a_slide_without_figures(tmp_path: Path) -> None:
    assert len(_read(tmp_path, "slide,x,y,figure_id")) == 0


def test_what_is_no_number_is_named_as_it_was_written(tmp_path: Path) -> None:
    points = _read(tmp_path, "x,y", "1,2", "12 px,3", "4,")
    assert len(points) == 1
    assert "row 3: x '12 px', y '3' is no place on a slide" in points.failures[0]
    assert "row 4: x '4', y ''" in points.failures[1]
    with pytest.raises(TableError, match=r"can be used \(no finite x and y: 2\); the first: row 2"):
        _read(tmp_path, "x,y", "a,b", "inf,2")
