"""Tables as spreadsheets and other programs write them: read alike, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atypia.data.table_io import read_raw, rename_known
from atypia.errors import TableError

PLAIN = "figure_id,image,slide\n01,a.png,Ü 1\n02,b.png,\n"


def _read(folder: Path, data: bytes | str, name: str = "t.csv") -> pd.DataFrame:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_raw(path)


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.encode("utf-16"),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"),
        PLAIN.encode("cp1252"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN + "\n\n,,\n , ,\n",
        "\n" + PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        "sep=;\r\n" + PLAIN.replace(",", ";"),
        '"sep=|"\n' + PLAIN.replace(",", "|"),
        PLAIN.replace("figure_id,image", '" figure_id ","image\n"'),
        PLAIN.replace("\n", ",,\n"),
        PLAIN.replace("slide\n", "slide,,\n"),
        "figure_id,,image,slide\n01,,a.png,Ü 1\n02,,b.png,\n",
        ",figure_id,image,slide\n0,01,a.png,Ü 1\n1,02,b.png,\n",
        ",figure_id,image,slide,\n5.0,01,a.png,Ü 1,\n17.0,02,b.png,,\n",
        PLAIN + "\x1a",
    ],
)
def test_a_table_is_the_same_however_a_spreadsheet_wrote_it(
    tmp_path: Path, data: bytes | str
) -> None:
    frame = _read(tmp_path, data)
    assert list(frame.columns) == ["figure_id", "image", "slide"]
    assert frame.to_numpy().tolist() == [["01", "a.png", "Ü 1"], ["02", "b.png", ""]]


@pytest.mark.parametrize("name", ["t.tsv", "t.TSV"])
def test_text_separated_by_tabs_may_be_called_so(tmp_path: Path, name: str) -> None:
    assert list(_read(tmp_path, PLAIN.replace(",", "\t"), name)["image"]) == ["a.png", "b.png"]


def test_separators_inside_quotes_do_not_count(tmp_path: Path) -> None:
    frame = _read(tmp_path, 'figure_id,image,"note; a; b; c"\na,a.png,"x; y, z"\n')
    assert list(frame.columns) == ["figure_id", "image", "note; a; b; c"]
    assert frame["note; a; b; c"].iloc[0] == "x; y, z"


def test_rows_are_counted_as_a_spreadsheet_does(tmp_path: Path) -> None:
    frame = _read(tmp_path, 'sep=,\nfigure_id,image\na,"two\nlines"\n\nb,b.png\n')
    assert list(frame.index) == [2, 4]
    assert list(frame["image"]) == ["two\nlines", "b.png"]


def test_a_nameless_column_that_holds_something_stays_and_its_name_says_where(
    tmp_path: Path,
) -> None:
    frame = _read(tmp_path, "figure_id,image,,\na,a.png,,checked\nb,b.png\n")
    assert list(frame.columns) == ["figure_id", "image", "unnamed 4"]
    assert list(frame["unnamed 4"]) == ["checked", ""]
    # A first one that does not number the rows is no index.
    assert _read(tmp_path, ",image\nx,a.png\n").columns[0] == "unnamed 1"


def test_rows_of_one_wrong_length_share_a_line(tmp_path: Path) -> None:
    rows = "".join(f"f{n},a.png,S,,\n" for n in range(3000))
    with pytest.raises(TableError) as caught:
        _read(tmp_path, "figure_id,image,slide\n" + rows)
    message = str(caught.value)
    assert "rows 2-3001: 5 fields, the header has 3" in message and "\n" not in message


def test_rows_of_many_wrong_lengths_share_a_handful_of_lines(tmp_path: Path) -> None:
    rows = "".join("x," * (n % 300) + "x\n" for n in range(3000))
    with pytest.raises(TableError) as caught:
        _read(tmp_path, "figure_id,image,slide\n" + rows)
    assert len(str(caught.value).splitlines()) < 10
    assert "293 other numbers of fields" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("t.xlsx", b"PK\x03\x04\x00", "a spreadsheet, not a table; save the sheet as CSV"),
        ("t.ods", b"PK\x03\x04\x00", "a spreadsheet"),
        ("t.csv", b"PK\x03\x04\x14\x00", "a spreadsheet"),
        ("t.csv", b"\xd0\xcf\x11\xe0\xa1\xb1", "a spreadsheet"),
        ("t.csv", b"a,b\n1,\x00\n", "not text"),
        ("t.csv", b"\xff\xfea", "not text"),
        ("t.csv", b"a,\x81\n", "not text"),
        ("t.csv", '"figure_id,image"\n"a,a.png"\n', "whole header is in one cell"),
        ("t.csv", "a;b;a\n1;2;3\n", "'a' occurs 2 times"),
        ("t.csv", ",,\n;;\n", "whole header is in one cell"),
        ("t.csv", " \r\n,,\r\n", "the file is empty"),
        ("t.csv", 'a,b\n1,"2', "not a CSV file"),
        ("t.parquet", b"PAR1", "not a Parquet file"),
        ("t.parquet", b"a,b\n", "not a Parquet file"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(
    tmp_path: Path, name: str, data: bytes | str, words: str
) -> None:
    with pytest.raises(TableError, match=words) as caught:
        _read(tmp_path, data, name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_an_index_of_pandas_in_parquet_is_a_column_like_others_if_it_has_a_name(
    tmp_path: Path,
) -> None:
    frame = pd.DataFrame({"figure_id": ["a", "b"], "": [None, None], "image": ["a.png", "b.png"]})
    frame.set_index("figure_id").to_parquet(tmp_path / "named.parquet")
    assert set(read_raw(tmp_path / "named.parquet").columns) == {"figure_id", "image"}
    frame.set_index(pd.Index([3, 9])).to_parquet(tmp_path / "plain.parquet")
    assert set(read_raw(tmp_path / "plain.parquet").columns) == {"figure_id", "image"}


def test_known_columns_are_taken_in_other_letters_and_two_for_one_are_refused() -> None:
    frame = pd.DataFrame([list("abcde")], columns=["Figure ID", "IMAGE", "Vote_Anna", "Note", "X"])
    taken = rename_known(frame, ("figure_id", "image", "x"), "t.csv")
    assert list(taken.columns) == ["figure_id", "image", "vote_anna", "Note", "x"]
    # The name itself goes first.
    frame = pd.DataFrame([list("ab")], columns=["image", "Image"])
    assert list(rename_known(frame, ("image",), "t.csv").columns) == ["image", "Image"]
    frame = pd.DataFrame([list("ab")], columns=["IMAGE", "Image"])
    with pytest.raises(TableError, match=r"t\.csv: columns 'IMAGE', 'Image': each may be image"):
        rename_known(frame, ("image",), "t.csv")


@pytest.mark.parametrize("name", ["image", ""])
def test_text_in_parquet_that_is_no_utf8_is_refused_with_its_column(
    tmp_path: Path, name: str
) -> None:
    offsets = pa.py_buffer(np.array([0, 1, 3], dtype=np.int32))
    damaged = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xc0.")])
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"figure_id": ["a", "b"], name: damaged}), path)
    with pytest.raises(TableError, match=rf"t\.parquet: column '{name}': contains damaged values"):
        read_raw(path)


def test_categories_in_parquet_are_read_as_the_values_that_they_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"figure_id": ["a", "b"], "empty": [None, None], "lab": ["x", None]})
    frame.astype({"empty": "category", "lab": "category"}).to_parquet(path)
    found = read_raw(path)
    assert not any(isinstance(dtype, pd.CategoricalDtype) for dtype in found.dtypes)
    assert found["lab"][2] == "x" and list(found.isna().sum()) == [0, 2, 1]
    found.to_parquet(path)
    pd.testing.assert_frame_equal(read_raw(path), found)
