"""Which classes are figures: those that a file calls no mitosis are not, unless asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from atypia.data.points.classes import ClassFilter, is_no_mitosis
from atypia.errors import TableError

PATH = Path("p.json")


@pytest.mark.parametrize(
    "name",
    [
        *("hard negative", "Hard-negative", "hard_negative_imposter", "hard negative look-alike"),
        *("non-mitotic figure", "Non-mitosis", "nonmitotic", "NON MITOTIC FIGURE", "no mitosis"),
        *("not a mitosis", "non-MF", "mitosis-like figure", "mitotic figure lookalike"),
        *("imposter", "Impostors", "Apoptosis", "apoptotic body", "pyknotic nucleus"),
        "false positive",
    ],
)
def test_what_says_that_it_is_no_mitosis_is_left_out(name: str) -> None:
    assert is_no_mitosis(name)
    assert not ClassFilter().takes(name)
    assert ClassFilter((name,)).takes(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "Mitosis", "mitotic figure", "Normal mitosis", "NMF", "normal", "AMF", "Refer"),
        *("negative", "not atypical mitosis", "mitosis or imposter", "Mitosis: no spindle", "0"),
    ],
)
def test_what_may_be_a_mitosis_is_taken(name: str) -> None:
    assert not is_no_mitosis(name)


def test_what_is_left_out_is_counted_and_how_to_include_it_is_said() -> None:
    (line,) = ClassFilter().remarks(PATH, {"mitotic figure": 4, "hard negative": 2}, {})
    assert "2 of 6 points are no mitosis" in line
    assert "give --class 'mitotic figure' --class 'hard negative'" in line
    assert not ClassFilter(("hard negative",)).remarks(PATH, {"hard negative": 2}, {})


def test_a_class_that_is_not_there_names_those_that_are_with_their_counts() -> None:
    counts = {"Mitosis": 2, "": 5, "Tumor": 1}
    with pytest.raises(TableError) as refused:
        ClassFilter(("mitosis",)).remarks(PATH, counts, {"Tumor": 1})
    assert str(refused.value) == (
        "p.json: has no point of class mitosis; its classes are "
        "no class: 5, 'Mitosis': 2, 'Tumor': 1; did you mean Mitosis?"
    )
    with pytest.raises(TableError, match=r"hard-negative; .*; did you mean hard negative\?"):
        ClassFilter(("hard-negative",)).remarks(PATH, {"hard negative": 2, "Mitosis": 2}, {})
    (line,) = ClassFilter(("Mitosis", "Figure")).remarks(PATH, counts, {})
    assert "warning: p.json: has no point of class Figure" in line


def test_a_searched_slide_without_a_figure_is_told_from_a_wrong_class() -> None:
    outlined = {"Tumor": 1, "hard negative": 3}
    ask = ("Mitosis",)
    (line,) = ClassFilter(ask, searched=True).remarks(PATH, outlined, {"Tumor": 1})
    assert "counts as searched, without a figure" in line
    assert not ClassFilter(ask).remarks(PATH, {}, {})
    assert not ClassFilter(ask).remarks(PATH, {"Mitosis": 0, "Other": 3}, {})
    for classes, counts, outlines in (
        (ClassFilter(ask), {"Tumor": 1}, {"Tumor": 1}),  # nobody said what was searched
        (ClassFilter(ask, searched=True), {"Figure": 3}, {}),  # points, perhaps the figures
        (ClassFilter(ask, searched=True), {"mitosis": 1}, {"mitosis": 1}),  # misspelt
    ):
        with pytest.raises(TableError, match="has no point of class Mitosis"):
            classes.remarks(PATH, counts, outlines)
    assert ClassFilter(ask, "Hotspot").remarks(PATH, {"Hotspot": 1}, {"Hotspot": 1})
