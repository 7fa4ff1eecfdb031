from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from atypia.data.predictions import (
    PREDICTION_COLUMNS,
    check_predictions,
    join_predictions,
    read_predictions,
)
from atypia.data.table import FigureTable, figures_from_frame
from atypia.errors import TableError

ROWS = {
    "figure_id": ["007", "b"],
    "image": ["007.png", "b.png"],
    "p_atypical": [0.25, 0.75],
    "call": ["normal", "atypical"],
    "refer": [False, True],
    "spread": [0.01, None],
    "phase": ["", "metaphase"],
}


def _table(tmp_path: Path, names: list[str]) -> FigureTable:
    frame = pd.DataFrame(
        {
            "figure_id": names,
            "image": [f"{n}.png" for n in names],
            "label": [0, 1] * (len(names) // 2),
        }
    )
    return figures_from_frame(frame, tmp_path)


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_the_three_forms_read_alike(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"predictions.{ending}"
    frame = pd.DataFrame(ROWS)
    if ending == "csv":
        frame.to_csv(path, index=False)
    elif ending == "parquet":
        frame.to_parquet(path, index=False)
    else:
        path.write_text(
            json.dumps(frame.astype(object).where(frame.notna(), None).to_dict("records"))
        )
    read = read_predictions(path)
    assert tuple(read.columns) == PREDICTION_COLUMNS
    assert list(read["figure_id"]) == ["007", "b"]
    assert list(read["p_atypical"]) == [0.25, 0.75]
    assert list(read["refer"]) == [False, True]
    assert read["spread"].isna().tolist() == [False, True]
    assert list(read["phase"]) == ["", "metaphase"]


@pytest.mark.parametrize(
    ("call", "refer"),
    [("ATYPICAL", "TRUE"), ("AMF", "wahr"), ("1", "1"), ("true", "yes"), ("Atypical ", "Vrai")],
)
def test_calls_are_read_in_the_words_of_a_figure_table(
    tmp_path: Path, call: str, refer: str
) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        "Figure_ID;P_Atypical;Call;Refer;\r\n"
        f"1.0;0,75;{call};{refer};\r\n2.0;0,5;nmf;;\r\n;;;;\r\n",
        encoding="utf-16",
    )
    read = read_predictions(path)
    assert list(read["figure_id"]) == ["1", "2"]
    assert list(read["p_atypical"]) == [0.75, 0.5]
    assert list(read["call"]) == ["atypical", "normal"]
    assert list(read["refer"]) == [True, False]


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("figure_id,p_atyp,call\na,0.5,AMF\n")
    with pytest.raises(TableError, match=r"p_atypical is missing.*did you mean p_atyp\?"):
        read_predictions(tmp_path / "p.csv")


def test_three_columns_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("figure_id,p_atypical,call\na,0.5,normal\n")
    read = read_predictions(path)
    assert tuple(read.columns) == PREDICTION_COLUMNS
    assert not read["refer"].any()


def test_all_faults_at_once_with_row_numbers(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(
        "figure_id,p_atypical,call,refer,spread\n"
        "a,0.5,normal,false,0\n"
        "b,1.2,atypical,true,0\n"
        "c,nan,normal,perhaps,0\n"
        "a,0.1,maybe,false,-1\n"
        ",0.1,normal,false,\n"
    )
    with pytest.raises(TableError) as caught:
        read_predictions(path)
    message = str(caught.value)
    assert str(path) in message
    for words in (
        "figure_id: expected a name; found '' (row 6)",
        "figure_id: expected each figure once; found 'a' (rows 2, 5)",
        "found '1.2', 'nan' (rows 3-4)",
        "call: expected normal or atypical (AMF/NMF, 1/0); found 'maybe' (row 5)",
        "refer: expected true or false; found 'perhaps' (row 4)",
        "found '-1' (row 5)",
    ):
        assert words in message
    assert len(message.splitlines()) == 7


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.csv", "figure_id,p_atypical\na,0.1\n", "column call is missing"),
        ("p.csv", "figure_id,p_atypical,call\n", "no predictions"),
        ("p.csv", "figure_id,call,call,p_atypical\na,normal,normal,0.1\n", "'call' occurs 2 times"),
        ("p.json", '{"a": 1}', "expected a list of records"),
        ("p.json", "[{", "not a JSON file"),
        ("p.xlsx", "x", "save the sheet as CSV"),
    ],
)
def test_what_is_no_predictions_table_is_said(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(TableError, match=words):
        read_predictions(tmp_path / name)


@pytest.mark.parametrize("name", ["none.csv", "none.json"])
def test_a_missing_file_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match="no such file"):
        read_predictions(tmp_path / name)


def test_figures_on_one_side_are_named_and_the_rest_is_joined(tmp_path: Path) -> None:
    predictions = check_predictions(
        pd.DataFrame(
            {
                "figure_id": ["d", "a", "x1", "x2"],
                "p_atypical": [0.9, 0.1, 0.5, 0.5],
                "call": ["atypical", "normal", "normal", "normal"],
                "phase": ["metaphase", "", "", ""],
            }
        )
    )
    joined = join_predictions(predictions, _table(tmp_path, ["a", "b", "c", "d"]))
    assert list(joined.frame["figure_id"]) == ["d", "a"]
    assert list(joined.frame["call"]) == [True, False]
    assert list(joined.frame["label"]) == [1.0, 0.0]
    assert list(joined.frame["predicted_phase"]) == ["metaphase", ""]
    assert len(joined.notes) == 2
    assert "2 figures predicted but not in the figure table, left out: x1, x2" in joined.notes[0]
    assert "2 figures in the figure table but not predicted, left out: b, c" in joined.notes[1]


def test_a_table_with_columns_of_the_same_name_does_not_override_predictions(
    tmp_path: Path,
) -> None:
    table = _table(tmp_path, ["a", "b"])
    table = FigureTable(table.frame.assign(p_atypical=0.0, call=False), table.root)
    predictions = check_predictions(pd.DataFrame({**ROWS, "figure_id": ["a", "b"]}))
    assert list(join_predictions(predictions, table).frame["p_atypical"]) == [0.25, 0.75]


def test_nothing_in_common_is_an_error_that_shows_both_sides(tmp_path: Path) -> None:
    predictions = check_predictions(pd.DataFrame(ROWS))
    with pytest.raises(TableError, match="007, b against c, d"):
        join_predictions(predictions, _table(tmp_path, ["c", "d"]))


def test_json_nested_too_deeply_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text("[" * 100_000)
    with pytest.raises(TableError, match="not a JSON file") as refused:
        read_predictions(path)
    assert "\n" not in str(refused.value)


def test_half_a_character_in_json_is_written_as_its_number(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    row = {"figure_id": "a\udcff", "p_atypical": 0.5, "call": "1", "\ud800": "\ud800"}
    path.write_text(json.dumps([row]))
    read = read_predictions(path)
    assert read["figure_id"].tolist() == ["a\\udcff"]
    assert read["\\ud800"].tolist() == ["\\ud800"]


@pytest.mark.parametrize("depth", range(100, 1000, 20))
def test_a_value_of_json_that_is_nested_is_text_or_one_line(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "p.json"
    deep = "[" * depth + "]" * depth
    path.write_text(f'[{{"figure_id": "a", "p_atypical": 0, "call": "1", "own": {deep}}}]')
    try:
        assert read_predictions(path)["own"].tolist() == [deep]
    except TableError as refused:
        assert "nested too deeply" in str(refused)
