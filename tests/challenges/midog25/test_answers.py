"""Answers to stacks become predictions of the figures on their pages, each in its place."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from atypia.challenges.midog25.answers import (
    ANSWERS_NAME,
    convert_answers,
    read_answers,
    write_answers,
)
from atypia.data.table import FigureTable, figures_from_frame
from atypia.errors import TableError

FIRST = [("normal", 0.1), ("atypical", 0.9)]
SECOND = [("normal", 0.2)]


def _table(**columns: list[object]) -> FigureTable:
    names = ["a", "b", "c"]
    frame = pd.DataFrame({"figure_id": names, "image": [f"{name}.png" for name in names]})
    return figures_from_frame(frame.assign(**columns), Path())


TWO_STACKS = {"stack": ["s1", "s2", "s1"], "page": ["2", "1", "1"]}


def test_the_file_is_what_the_challenge_reads(tmp_path: Path) -> None:
    path = tmp_path / ANSWERS_NAME
    write_answers(path, FIRST)
    assert path.name == "multiple-mitotic-figure-classification.json"
    assert json.loads(path.read_text()) == [
        {"class": "normal", "confidence": 0.1},
        {"class": "atypical", "confidence": 0.9},
    ]
    assert read_answers(path) == FIRST


@pytest.mark.parametrize("layout", ["{}.json", "{}/" + ANSWERS_NAME, "{}/output/" + ANSWERS_NAME])
def test_pages_find_their_figures(tmp_path: Path, layout: str) -> None:
    for name, answers in (("s1", FIRST), ("s2", SECOND), ("s3", SECOND)):
        write_answers(tmp_path / layout.format(name), answers)
    (tmp_path / "s1" / "output").mkdir(parents=True, exist_ok=True)
    (tmp_path / "s1" / "output" / "other.json").write_text("{}")  # not an answer
    frame, notes = convert_answers(tmp_path, _table(**TWO_STACKS))
    assert list(frame["figure_id"]) == ["a", "b", "c"]
    assert list(frame["p_atypical"]) == [0.9, 0.2, 0.1]
    assert list(frame["call"]) == ["atypical", "normal", "normal"]
    assert notes == ["1 stacks answered but not in the table: s3"]


def test_one_file_and_a_table_in_order_need_no_more_columns(tmp_path: Path) -> None:
    path = tmp_path / "any.json"
    write_answers(path, [*FIRST, *SECOND])
    frame, _ = convert_answers(path, _table())
    assert list(frame["p_atypical"]) == [0.1, 0.9, 0.2]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"stack": ["s1", "s2", "s3"]}, r"no answers to 1 of 3 stacks \(s3\)"),
        ({"stack": ["s1", "s2", "s2"]}, "1 answers, but the table has 2 pages|2 answers"),
        ({"stack": ["s1", "s2", "s1"], "page": ["1", "1", "1"]}, "each page once"),
        ({"stack": ["s1", "s2", "s1"], "page": ["0", "1", "1"]}, "pages 1 to 2"),
        ({"stack": ["s1", "s2", "s1"], "page": ["", "1", "1"]}, "pages 1 to 2"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, columns, message: str) -> None:
    write_answers(tmp_path / "s1.json", FIRST)
    write_answers(tmp_path / "s2.json", SECOND)
    with pytest.raises(TableError, match=message):
        convert_answers(tmp_path, _table(**columns))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"class": "normal"}', "expected a list"),
        ('[{"class": "Normal", "confidence": 0.2}]', "entry 1: class 'Normal'"),
        ('[{"class": "normal", "confidence": 1.5}]', r"confidence 1\.5, expected P\(atypical\)"),
        ('[{"class": "normal", "confidence": NaN}]', "confidence nan"),
        ('[{"class": "normal", "confidence": true}]', "confidence True"),
        ('[{"class": "normal"}]', "confidence None"),
        ("[3]", "class None"),
        ("[", "cannot be read"),
    ],
)
def test_faulty_answers_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(TableError, match=message):
        read_answers(tmp_path / "s.json")


def test_two_files_for_a_stack_are_refused(tmp_path: Path) -> None:
    write_answers(tmp_path / "s1.json", FIRST)
    write_answers(tmp_path / "s1" / ANSWERS_NAME, FIRST)
    with pytest.raises(TableError, match="keep one"):
        convert_answers(tmp_path, _table(**TWO_STACKS))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        f'[{{"class": "normal", "confidence": {"9" * 4000}}}]',
        f'[{{"class": "{"x" * 5000}", "confidence": 0}}]',
        f'[{{"class": {"[" * 500}{"]" * 500}, "confidence": 0}}]',
    ],
)
def test_answers_too_deep_or_too_long_are_one_short_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(TableError) as refused:
        read_answers(path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
