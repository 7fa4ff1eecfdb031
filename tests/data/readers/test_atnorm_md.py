"""The slides that AtNorM-MD does not name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from atypia.data.readers.atnorm_md import slides_of_figures


def test_a_number_gives_slide_place_domain_and_mpp() -> None:
    label = pd.Series(["Normal", "Atypical", 0], index=[2, 3, 3])
    frame, note = slides_of_figures(["AtNorM-MD/Normal/1.png", "3.jpg", "2107.png"], label)
    assert not note and list(frame.index) == [2, 3, 3]
    assert list(frame["slide"]) == ["210.tiff", "210.tiff", "547.tiff"]
    assert list(frame["mpp"]) == [0.25, 0.25, 0.23]
    assert list(frame["tumour"]) == ["canine lung cancer", "canine lung cancer", "human melanoma"]


def test_a_figure_beyond_the_published_ones_has_no_slide() -> None:
    frame, note = slides_of_figures(["2108.png", "new.png", "0.png"], pd.Series([0, 1, 0]))
    assert not note and set(frame["slide"]) == {""} and set(frame["mpp_source"]) == {""}
    assert frame[["x", "y", "mpp"]].isna().all(axis=None)


def test_numbers_of_another_set_say_nothing() -> None:
    label = pd.Series(["Atypical"] + ["Normal"] * 20)
    names = [f"{number}.png" for number in [3, *range(4, 13), *range(17, 26), 27, 28]]
    assert slides_of_figures(names, label)[0]["slide"].ne("").all()
    corrected, note = slides_of_figures(names, label.where(label.index != 5, "Atypical"))
    assert not note and corrected["slide"].ne("").all()
    swapped = label.mask(label.index == 0, "Normal").mask(label.index == 5, "Atypical")
    frame, note = slides_of_figures(names, swapped)
    assert "2 of 21 figures have another label" in note and set(frame["slide"]) == {""}


def test_all_published_figures_are_there(atnorm_md: Path) -> None:
    published = pd.read_csv(atnorm_md / "figures.csv")
    atypical = (published.filter(like="vote_expert") == "yes").sum(axis=1) >= 3
    numbers = published["figure_id"].str.removeprefix("atnorm-md-")
    frame, note = slides_of_figures([f"{n}.png" for n in numbers], atypical.astype(int))
    assert not note
    columns = ["slide", "x", "y", "mpp", "tumour", "scanner", "laboratory", "species"]
    pd.testing.assert_frame_equal(frame[columns], published[columns], check_dtype=False)
