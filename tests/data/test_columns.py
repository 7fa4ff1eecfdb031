from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from atypia.data.columns import as_answers, as_ids, as_numbers, as_text, list_names


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (["0,25", "", "1,5e-1"], [0.25, np.nan, 0.15]),
        (["12345,678", "512,125", "7"], [12345.678, 512.125, 7]),
        (["-,5", "+3,0"], [-0.5, 3]),
        (["0,250"], [0.25]),
        # Thousands, or both signs in a column: nobody can say which number it is.
        (["12,345"], [np.nan]),
        (["1,234,567", "12,345"], [np.nan, np.nan]),
        (["12.5", "12,5"], [12.5, np.nan]),
        (["1.234,5"], [np.nan]),
    ],
)
def test_a_decimal_comma_is_read_where_it_can_be_nothing_else(
    text: list[str], numbers: list[float]
) -> None:
    np.testing.assert_allclose(as_numbers(pd.Series(text, dtype=object)), numbers)


def test_whole_numbers_that_became_floats_are_the_ids_they_were() -> None:
    assert list(as_text(pd.Series([1.0, np.nan, 12.0]))) == ["1", "", "12"]
    assert list(as_text(pd.Series([0.5, np.inf, 1.0]))) == ["0.5", "inf", "1.0"]
    assert list(as_text(pd.Series([1e308, 1.0]))) == ["1e+308", "1.0"]  # no whole number of 64 bits
    assert list(as_ids(pd.Series(["1.0", "", "007.0"]))) == ["1", "", "007"]
    # One other id, and ".0" may be part of a name.
    assert list(as_ids(pd.Series(["1.0", "1.1"]))) == ["1.0", "1.1"]


def test_numbers_of_half_precision_are_read_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = as_text(pd.Series(np.array([0.25, 60000, np.nan], dtype=np.float16)))
    assert list(as_numbers(text)[:2]) == [0.25, 60000] and text.iloc[2] == ""


@pytest.mark.parametrize(("yes", "no"), [("WAHR", "FALSCH"), ("Vrai", "faux"), ("1,0", "0,0")])
def test_true_and_false_are_read_as_spreadsheets_of_other_languages_write_them(
    yes: str, no: str
) -> None:
    assert list(as_answers(pd.Series([yes, no]))) == [1.0, 0.0]


def test_a_long_list_of_names_is_cut() -> None:
    assert list_names(["a", "b"]) == "a, b" and list_names([]) == "none"
    assert list_names(map(str, range(500))).endswith("18, 19 and 480 more")
