from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from atypia.data.table import figures_from_frame, read_table
from atypia.errors import TableError


def _csv(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


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


def test_many_faults_stay_readable(tmp_path: Path) -> None:
    rows = "".join(f"f{i},a.png,v{i}\n" for i in range(5000))
    with pytest.raises(TableError) as caught:
        read_table(_csv(tmp_path, "figure_id,image,label\n" + rows))
    assert len(str(caught.value)) < 2000
    assert "4992 more values (rows 10-5001)" in str(caught.value)
