from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.table import count_without_slide, figures_from_frame, read_table, write_table
from atypia.errors import TableError


def _csv(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_absent_columns_get_their_defaults_and_further_columns_stay(tmp_path: Path) -> None:
    table = read_table(_csv(tmp_path, "figure_id,image,note\n007,a/b.png,x\n008,c.png,\n"))
    row = table.frame.iloc[0]
    assert row["figure_id"] == "007"
    assert row["slide"] == "007" and row["case"] == "007"
    assert row["tumour"] == row["species"] == "unknown" and row["phase"] == ""
    assert np.isnan(row["mpp"]) and np.isnan(row["label"])
    assert list(table.frame["note"]) == ["x", ""]
    assert table.image_paths() == [tmp_path / "a" / "b.png", tmp_path / "c.png"]


def test_case_defaults_to_slide(tmp_path: Path) -> None:
    table = read_table(_csv(tmp_path, "figure_id,image,slide,case\na,a.png,s,\nb,b.png,s,c\n"))
    assert list(table.frame["case"]) == ["s", "c"]


def test_figures_that_name_neither_slide_nor_case_are_counted_also_after_writing(
    tmp_path: Path,
) -> None:
    text = "figure_id,image,slide,case\na,a.png,,\nb,b.png,s,\nc,c.png,,k\nd,d.png,,\n"
    table = read_table(_csv(tmp_path, text))
    assert count_without_slide(table) == 2  # c's case keeps its figures together
    write_table(table, tmp_path / "again.csv")
    assert count_without_slide(read_table(tmp_path / "again.csv")) == 2


@pytest.mark.parametrize("yes", ["true", "TRUE", "Yes", "1", "1.0", "AMF", "atypical", "Atypical"])
def test_votes_are_read_in_any_of_their_words(tmp_path: Path, yes: str) -> None:
    text = f"figure_id,image,vote_a,vote_b\na,a.png,{yes},\nb,b.png,Normal,nmf\n"
    frame = read_table(_csv(tmp_path, text)).frame
    np.testing.assert_array_equal(frame[["vote_a", "vote_b"]], [[1.0, np.nan], [0.0, 0.0]])


def test_all_faults_are_told_at_once_with_their_rows(tmp_path: Path) -> None:
    text = (
        "figure_id,image,x,y,mpp,label,vote_1\n"
        "a,/etc/a.png,1,2,0.25,0,maybe\n"  # row 2
        "a,../b.png,nan,2,25,2,yes\n"  # row 3
        "c,,,,0.25,1,no\n"  # row 4
        "d,d.png,inf,1,x,1,no\n"  # row 5
        ",e.png,1,,0,,\n"  # row 6
    )
    with pytest.raises(TableError) as caught:
        read_table(_csv(tmp_path, text))
    message = str(caught.value)
    for column, value, row in [
        ("figure_id", "'a'", "rows 2-3"),
        ("figure_id", "''", "row 6"),
        ("image", "'/etc/a.png'", "row 2"),
        ("image", "'../b.png'", "row 3"),
        ("x", "'nan'", "row 3"),
        ("x", "'inf'", "row 5"),
        ("mpp", "'25'", "row 3"),
        ("mpp", "'x'", "row 5"),
        ("mpp", "'0'", "row 6"),
        ("label", "'2'", "row 3"),
        ("vote_1", "'maybe'", "row 2"),
    ]:
        lines = [line for line in message.splitlines() if line.strip().startswith(f"{column}: ")]
        assert any(f"{value} ({row})" in line for line in lines), (column, value, message)
    assert "x, y: expected both or neither (row 6)" in message
    assert "expected an image, or a slide with x and y (row 4)" in message
    assert message.startswith(str(tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("\n  \n", "is empty"),
        ("figure_id,image\n", "no figures"),
        ("figure_id,image,label,label\na,a.png,0,1\n", "'label' stands 2 times"),
        ("figure_id,image\na,a.png,1\nb\n", "row 2: 3 fields"),
        ("figure_id,image\na,a.png,1\nb\n", "row 3: 1 field, the header has 2"),
        ("figureid,image\na,a.png\n", "did you mean figureid"),
        ("figure_id,slide,x\na,s,1\n", "column image is missing"),
        ('figure_id,image\na,"a.png\n', "not a CSV"),
    ],
)
def test_a_file_out_of_shape_is_told_in_words(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TableError, match=r"t\.csv") as caught:
        read_table(_csv(tmp_path, text))
    assert told in str(caught.value)


def test_what_is_no_table_is_told_in_one_line(tmp_path: Path) -> None:
    picture = tmp_path / "p.csv"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe\x00")
    broken = tmp_path / "p.parquet"
    broken.write_bytes(b"PAR1 but not really")
    for path in (picture, broken, tmp_path / "none.csv", tmp_path / "t.xlsx"):
        with pytest.raises(TableError) as caught:
            read_table(path)
        assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_spreadsheet_exports_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("﻿figure_id,image,slide\r\na,a.png,Ü 1\r\n\r\n".encode())
    assert list(read_table(path).frame["slide"]) == ["Ü 1"]


def test_a_mapping_names_their_columns(tmp_path: Path) -> None:
    path = _csv(tmp_path, "file,majority,rater\na.png,AMF,no\n")
    mapping = {"figure_id": "file", "image": "file", "label": "majority", "vote_x": "rater"}
    row = read_table(path, mapping=mapping).frame.iloc[0]
    assert (row["figure_id"], row["image"], row["label"], row["vote_x"]) == ("a.png", "a.png", 1, 0)
    assert "majority" not in read_table(path, mapping=mapping).frame
    with pytest.raises(TableError) as caught:
        read_table(path, mapping={"lable": "majority", "image": "fiel"})
    assert "did you mean label" in str(caught.value) and "did you mean file" in str(caught.value)


def test_mpp_given_fills_gaps_and_never_replaces_what_is_known(tmp_path: Path) -> None:
    path = _csv(tmp_path, "figure_id,image,mpp\na,a.png,0.5\nb,b.png,\nc,c.png,0.25\n")
    assert list(read_table(path).frame["mpp_source"]) == ["table", "", "table"]
    table = read_table(path, mpp=0.25)
    assert list(table.frame["mpp"]) == [0.5, 0.25, 0.25]
    assert list(table.frame["mpp_source"]) == ["table", "given", "table"]
    # c says the same; that a says otherwise must be known.
    assert len(table.notes) == 1
    assert "mpp 0.25 fills 1 figure that had none; 1 figure with another one" in table.notes[0]
    assert "(0.5 um/px)" in table.notes[0]
    for wrong in (250.0, 0.0, float("nan"), -1.0):
        with pytest.raises(TableError, match="um/px"):
            read_table(path, mpp=wrong)


def test_every_known_mpp_has_a_source(tmp_path: Path) -> None:
    frame = pd.DataFrame({"figure_id": list("abc"), "image": "a.png", "mpp": [0.5, 0.5, None]})
    frame["mpp_source"] = ["layout", None, "given"]
    table = figures_from_frame(frame, tmp_path)
    assert list(table.frame["mpp_source"]) == ["layout", "table", ""]


def test_mpp_for_all_figures_needs_no_note(tmp_path: Path) -> None:
    path = _csv(tmp_path, "figure_id,image\na,a.png\nb,b.png\n")
    assert read_table(path, mpp=0.25).notes == ()


def test_a_table_of_a_spreadsheet_is_the_table_it_stands_for(tmp_path: Path) -> None:
    plain = read_table(
        _csv(
            tmp_path,
            "figure_id,image,x,y,slide,mpp,vote_a\n1,a.png,0.5,2,s,0.25,1\n2,b.png,,,s,,0\n",
        )
    )
    text = (
        "Figure ID; Image ;X;Y;slide;mpp;vote_a;;\r\n"
        "1.0;a.png;0,5;2;s;0,25;WAHR;;\r\n2.0;b.png;;;s;;FALSCH;;\r\n;;;;;;;;\r\n"
    )
    (tmp_path / "excel.csv").write_bytes(text.encode("utf-16"))
    pd.testing.assert_frame_equal(read_table(tmp_path / "excel.csv").frame, plain.frame)


@pytest.mark.parametrize("column", ["figure_id", "image", "slide", "scanner", "phase"])
def test_the_error_of_a_formula_is_no_name(tmp_path: Path, column: str) -> None:
    frame = pd.DataFrame({"figure_id": ["a", "b"], "image": ["a.png", "b.png"]})
    frame[column] = ["x", "#REF!"]
    with pytest.raises(TableError, match=rf"{column}: .*formula.*'#REF!' \(row 3\)"):
        figures_from_frame(frame, tmp_path)


def test_a_table_without_a_known_column_is_not_called_empty(tmp_path: Path) -> None:
    with pytest.raises(TableError) as caught:
        read_table(_csv(tmp_path, "name,file\n" + "a,b\n" * 3))
    assert "figure_id is missing" in str(caught.value) and "image is missing" in str(caught.value)
    assert "no figures" not in str(caught.value)


def test_domains_that_differ_in_spelling_are_one_and_a_note_says_so(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "figure_id": list("abcdef"),
            "image": "a.png",
            "scanner": ["Hamamatsu XR"] * 3 + ["hamamatsu-xr", "XR, Hamamatsu", "Aperio CS2"],
            "laboratory": ["UMC Utrecht", "umc utrecht", "UMC  Utrecht", "N/A", "unknown", ""],
        }
    )
    table = figures_from_frame(frame, tmp_path)
    assert list(table.frame["scanner"]) == ["Hamamatsu XR"] * 5 + ["Aperio CS2"]
    assert list(table.frame["laboratory"]) == ["UMC Utrecht"] * 3 + ["unknown"] * 3
    scanner, laboratory = table.notes
    assert "'hamamatsu-xr' (1), 'XR, Hamamatsu' (1) as 'Hamamatsu XR'" in scanner
    assert "'umc utrecht' (1)" in laboratory and "'N/A' (1) as 'unknown'" in laboratory


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_written_and_read_again_it_is_the_same(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame(
        {
            "figure_id": ["1", "02"],
            "image": ["a.png", ""],
            "slide": ["s", "s"],
            "x": [0.1 + 0.2, 5.0],
            "y": [1e-9, 7.0],
            "mpp": [0.23, np.nan],
            "label": [1, None],
            "vote_1": [True, None],
            "vote_2": [None, False],
            "extra": ["é, \nx", ""],
        }
    )
    table = figures_from_frame(frame, tmp_path)
    write_table(table, tmp_path / name)
    pd.testing.assert_frame_equal(read_table(tmp_path / name).frame, table.frame, check_dtype=False)


def test_a_table_written_above_its_images_still_finds_them(tmp_path: Path) -> None:
    frame = pd.DataFrame({"figure_id": ["a"], "image": ["a.png"]})
    write_table(figures_from_frame(frame, tmp_path / "inner"), tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv").image_paths() == [tmp_path / "inner" / "a.png"]
    with pytest.raises(TableError, match="not below it"):
        write_table(figures_from_frame(frame, tmp_path / "inner"), tmp_path / "other" / "t.csv")


def test_a_frame_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame([["a", "a.png", "b.png"]], columns=["figure_id", "image", "image"])
    with pytest.raises(TableError, match="image"):
        figures_from_frame(frame, tmp_path)


@pytest.mark.parametrize(
    "path", ["C:\\a.png", "\\\\host\\a.png", "a\\..\\..\\b.png", "a/../../b", "\\a.png"]
)
def test_paths_of_other_systems_do_not_leave_the_folder_either(tmp_path: Path, path: str) -> None:
    with pytest.raises(TableError, match="relative"):
        figures_from_frame(pd.DataFrame({"figure_id": ["a"], "image": [path]}), tmp_path)


def test_links_in_the_folder_are_followed_and_back_slashes_understood(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    inner = tmp_path / "data"
    inner.mkdir()
    (inner / "crops").symlink_to(tmp_path / "store")
    frame = pd.DataFrame({"figure_id": ["a", "b"], "image": ["crops/a.png", "crops\\b.png"]})
    paths = figures_from_frame(frame, inner).image_paths()
    assert paths == [inner / "crops" / "a.png", inner / "crops" / "b.png"]


def test_figures_without_a_crop_have_no_image_path(tmp_path: Path) -> None:
    frame = pd.DataFrame({"figure_id": ["a"], "slide": ["s"], "x": [1], "y": [2]})
    table = figures_from_frame(frame, tmp_path)
    assert len(table) == 1
    with pytest.raises(TableError, match="no image"):
        table.image_paths()


def test_many_faults_stay_readable(tmp_path: Path) -> None:
    rows = "".join(f"f{i},a.png,v{i}\n" for i in range(5000))
    with pytest.raises(TableError) as caught:
        read_table(_csv(tmp_path, "figure_id,image,label\n" + rows))
    assert len(str(caught.value)) < 2000
    assert "4992 more values (rows 10-5001)" in str(caught.value)
