"""A slide is known by its name, however a file of points writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from atypia.data.points.slide_names import match_slide_names

SLIDE = Path("/data/scans/a.svs")


@pytest.mark.parametrize(
    "name",
    [
        *("a.svs", "a", "scans/a.svs", r"scans\a.svs", r"D:\cohort\a.svs", "A.SVS", "A"),
        "a.svs - Series 1",
    ],
)
def test_folders_capitals_and_endings_do_not_count(name: str) -> None:
    assert match_slide_names([name, "b.svs", "aa.svs", "a.svs.bak"], SLIDE) == {name}


def test_other_slides_are_other_slides() -> None:
    others = ["b.svs", "aa.svs", "a.ndpi", "a.svs/b.svs", ""]
    assert match_slide_names(others, SLIDE) == set()
    assert match_slide_names(["s.tiff"], Path("s.ome.tif")) == {"s.tiff"}


def test_the_name_to_the_letter_goes_before_others() -> None:
    assert match_slide_names(["A.svs", "a.svs"], SLIDE) == {"a.svs"}


def test_one_name_in_two_folders_is_the_one_whose_folder_fits() -> None:
    assert match_slide_names(["scans/a.svs", "old/a.svs"], SLIDE) == {"scans/a.svs"}
    assert match_slide_names(["scans/a.svs", r"scans\a.svs"], SLIDE) == {
        "scans/a.svs",
        r"scans\a.svs",
    }
    with pytest.raises(ValueError, match=r"new/a.svs and old/a.svs may both be the slide a.svs"):
        match_slide_names(["new/a.svs", "old/a.svs"], SLIDE)
