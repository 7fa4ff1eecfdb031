from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.table import figures_without_slide, from_frame, read_table, write_table
from atypia.errors import AtypiaError, TableError


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
    assert figures_without_slide(table) == 2  # c's case keeps its figures together
    write_table(table, tmp_path / "again.csv")
    assert figures_without_slide(read_table(tmp_path / "again.csv")) == 2


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
        ("figure_id;image\na;b\n", "semicolons"),
        ("figure_id,image\na,a.png,1\nb\n", "row 2: 3 fields"),
        ("figure_id,image\na,a.png,1\nb\n", "row 3: 1 fields"),
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


def test_mpp_given_overrides_and_is_recorded(tmp_path: Path) -> None:
    path = _csv(tmp_path, "figure_id,image,mpp\na,a.png,0.5\nb,b.png,\n")
    assert list(read_table(path).frame["mpp_source"]) == ["table", ""]
    given = read_table(path, mpp=0.25).frame
    assert list(given["mpp"]) == [0.25, 0.25] and set(given["mpp_source"]) == {"given"}
    for wrong in (250.0, 0.0, float("nan"), -1.0):
        with pytest.raises(TableError, match="um/px"):
            read_table(path, mpp=wrong)


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
    table = from_frame(frame, tmp_path)
    write_table(table, tmp_path / name)
    pd.testing.assert_frame_equal(read_table(tmp_path / name).frame, table.frame, check_dtype=False)


def test_a_table_written_above_its_images_still_finds_them(tmp_path: Path) -> None:
    frame = pd.DataFrame({"figure_id": ["a"], "image": ["a.png"]})
    write_table(from_frame(frame, tmp_path / "inner"), tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv").image_paths() == [tmp_path / "inner" / "a.png"]
    with pytest.raises(TableError, match="not below it"):
        write_table(from_frame(frame, tmp_path / "inner"), tmp_path / "other" / "t.csv")


def test_a_frame_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame([["a", "a.png", "b.png"]], columns=["figure_id", "image", "image"])
    with pytest.raises(TableError, match="image"):
        from_frame(frame, tmp_path)


@pytest.mark.parametrize(
    "path", ["C:\\a.png", "\\\\host\\a.png", "a\\..\\..\\b.png", "a/../../b", "\\a.png"]
)
def test_paths_of_other_systems_do_not_leave_the_folder_either(tmp_path: Path, path: str) -> None:
    with pytest.raises(TableError, match="relative"):
        from_frame(pd.DataFrame({"figure_id": ["a"], "image": [path]}), tmp_path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    inner = tmp_path / "data"
    inner.mkdir()
    (inner / "a.png").symlink_to(tmp_path / "secret.png")
    table = from_frame(pd.DataFrame({"figure_id": ["a"], "image": ["a.png"]}), inner)
    with pytest.raises(AtypiaError, match="outside"):
        table.image_paths()


def test_figures_without_a_crop_have_no_image_path(tmp_path: Path) -> None:
    frame = pd.DataFrame({"figure_id": ["a"], "slide": ["s"], "x": [1], "y": [2]})
    table = from_frame(frame, tmp_path)
    assert len(table) == 1
    with pytest.raises(TableError, match="no image"):
        table.image_paths()


def test_many_faults_stay_readable(tmp_path: Path) -> None:
    rows = "".join(f"f{i},a.png,v{i}\n" for i in range(5000))
    with pytest.raises(TableError) as caught:
        read_table(_csv(tmp_path, "figure_id,image,label\n" + rows))
    assert len(str(caught.value)) < 2000
    assert "4992 more values (rows 10-5001)" in str(caught.value)
