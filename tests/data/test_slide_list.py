"""A list of slides is checked as a whole, and no two slides write to one name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atypia.data.slide_list import read_slide_list
from atypia.errors import TableError


def _write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "list.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_what_is_not_said_is_taken_from_the_file_name(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "slide,points,case,mpp,area_mm2",
        "a/1.svs,p1.geojson,,,",
        "b/2.ome.tif,p2.csv,P-7,0.25,1.5",
    )
    one, two = read_slide_list(path)
    assert (one.name, one.case, one.mpp, one.area_mm2) == ("1", "1", None, None)
    assert (one.slide, one.points) == (tmp_path / "a/1.svs", tmp_path / "p1.geojson")
    assert (two.name, two.case, two.mpp, two.area_mm2) == ("2", "P-7", 0.25, 1.5)


def test_a_list_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = _write(tmp_path, "Slide;Points;MPP;area_mm2;;", "1.svs;p.json;0,25;1,5;;", ";;;;;")
    (listed,) = read_slide_list(path)
    assert (listed.name, listed.mpp, listed.area_mm2) == ("1", 0.25, 1.5)


def test_two_slides_that_claim_one_name_are_refused_until_told_apart(tmp_path: Path) -> None:
    lines = ("a/1.svs,p1.json,{}", "b/1.SVS,p2.json,{}", "c/2.svs,p3.json,")
    faulty = _write(tmp_path, "slide,points,name", *(line.format("") for line in lines))
    with pytest.raises(TableError, match=r"name: '1' is the name of 2 slides \(rows 2-3\)"):
        read_slide_list(faulty)
    told = [line.format(name) for line, name in zip(lines, ("a-1", "b-1", ""), strict=True)]
    named = read_slide_list(_write(tmp_path, "slide,points,name", *told))
    assert [one.name for one in named] == ["a-1", "b-1", "2"]


def test_a_faulty_row_costs_no_other(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "slide,points,mpp,area_mm2",
        "1.svs,p.json,0.25,2",
        "2.svs,,,",
        ",p.json,,",
        "4.svs,p.json,1000,-2",
    )
    one, two, three, four = read_slide_list(path)
    assert (one.fault, one.mpp, one.area_mm2) == ("", 0.25, 2.0)
    assert two.fault == f"{path}, row 3: points: expected a file, found nothing"
    assert (three.name, three.fault) == (
        "row-4",
        f"{path}, row 4: slide: expected a file, found nothing",
    )
    assert four.fault == (
        f"{path}, row 5: mpp: expected 0.05 to 5 um/px, found '1000'; "
        f"{path}, row 5: area_mm2: expected a number above 0, found '-2'"
    )


def test_a_list_of_faulty_rows_alone_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, "slide,points,mpp", "1.svs,,", "2.svs,,", "3.svs,p.json,1000")
    with pytest.raises(TableError, match=r"points: expected a file, found nothing \(rows 2-3\)"):
        read_slide_list(path)


def test_back_slashes_divide_folders(tmp_path: Path) -> None:
    path = _write(tmp_path, "slide,points", r"scans\1.svs,points\1.json", r"b\2.ome.tif,2.json")
    one, two = read_slide_list(path)
    assert (one.name, one.slide, one.points) == (
        *("1", tmp_path / "scans" / "1.svs", tmp_path / "points" / "1.json"),
    )
    assert (two.name, two.slide) == ("2", tmp_path / "b" / "2.ome.tif")


def test_columns_in_capitals_are_known(tmp_path: Path) -> None:
    (one,) = read_slide_list(_write(tmp_path, "Slide,POINTS,Area mm2", "1.svs,p.json,2"))
    assert (one.name, one.area_mm2) == ("1", 2.0)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "slide,points,name,mpp,area_mm2",
        "1.svs,,,1000,",
        ",p.json,,0.25,-2",
        "3.svs,p.json,../x,,inf",
    )
    with pytest.raises(TableError) as refused:
        read_slide_list(path)
    said = str(refused.value)
    for part in (
        "points: expected a file, found nothing (row 2)",
        "slide: expected a file, found nothing (row 3)",
        "'../x' is not a valid file name (row 4)",
        "mpp: expected 0.05 to 5 um/px, found '1000' (row 2)",
        "area_mm2: expected a number above 0, found '-2' (rows 3-4)",
    ):
        assert part in said


def test_a_misspelt_column_is_guessed(tmp_path: Path) -> None:
    path = _write(tmp_path, "slides,points", "1.svs,p.json")
    with pytest.raises(TableError, match=r"column slide is missing.*did you mean slides\?"):
        read_slide_list(path)
    with pytest.raises(TableError, match="lists no slide"):
        read_slide_list(_write(tmp_path, "slide,points"))


def test_a_damaged_number_in_parquet_is_refused_in_one_line(tmp_path: Path) -> None:
    offsets = pa.py_buffer(np.array([0, 4], dtype=np.int32))
    damaged = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xb0.25")])
    path = tmp_path / "slides.parquet"
    pq.write_table(pa.table({"slide": ["a.tif"], "points": ["a.csv"], "mpp": damaged}), path)
    with pytest.raises(TableError, match=r"slides\.parquet: column 'mpp': contains damaged values"):
        read_slide_list(path)
