"""The contact sheet: every figure in its cell, in order, in the colour of its class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import find_objects, label

from atypia.data.slides import Slide, open_slide
from atypia.errors import AtypiaError
from atypia.evaluation.calibration import Calibration
from atypia.inference import contact_sheet
from atypia.inference.contact_sheet import THUMBNAIL_PX, write_contact_sheet
from atypia.inference.drawing import ink_on, letters, shorten_text
from atypia.inference.slides import ATYPICAL, COLOURS, NORMAL, REFER

SIDE, ACROSS, DOWN = 128, 4, 3
# Shades that are those of no class, one a figure.
SHADES = np.array(
    [[60 + 15 * n, 200 - 10 * n, 60 + 12 * n] for n in range(ACROSS * DOWN)], np.uint8
)
XY = np.array([[(n % ACROSS + 0.5) * SIDE, (n // ACROSS + 0.5) * SIDE] for n in range(12)])
P = [0.1, 0.93, 0.5, 0.3, 0.97, 0.02, 0.45, 0.7, 0.3, 0.05, 0.2, 0.61]
ORDER = [4, 1, 7, 11, 2, 6, 3, 8, 10, 0, 9, 5]

Predicted = Callable[[list[float]], pd.DataFrame]


@pytest.fixture
def slide(write_slide: Callable[..., Path]) -> Slide:
    """Twelve flat squares of 32 um, each of its own shade."""
    pixels = SHADES.reshape(DOWN, ACROSS, 3).repeat(SIDE, axis=0).repeat(SIDE, axis=1)
    return open_slide(write_slide(pixels))


def cells(path: Path) -> list[tuple[tuple[int, int], str]]:
    """Return the upper left corner and class of each cell of a page, row by row."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    found = []
    for name, colour in COLOURS.items():
        parts, _ = label(np.abs(pixels - colour).max(axis=2) < 24)
        for down, across in find_objects(parts):
            if across.stop - across.start > THUMBNAIL_PX:
                found.append(((down.start, across.start), name))
    return sorted(found, key=lambda one: (one[0][0] // 20, one[0][1]))


def middles(path: Path) -> list[np.ndarray]:
    """Return the colour at the centre of each cell's thumbnail."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    half = 4 + THUMBNAIL_PX // 2
    return [pixels[y + half, x + half] for (y, x), _ in cells(path)]


def test_cells_are_sorted_and_framed_by_class(
    slide: Slide, predicted: Predicted, tmp_path: Path
) -> None:
    drawn = write_contact_sheet(tmp_path / "s.jpg", slide, predicted(P), XY)
    assert drawn.paths == (tmp_path / "s.jpg",)
    assert drawn.failures == ()
    names = [name for _, name in cells(drawn.paths[0])]
    assert names == [ATYPICAL] * 4 + [REFER] * 2 + [NORMAL] * 6
    for found, row in zip(middles(drawn.paths[0]), ORDER, strict=True):
        np.testing.assert_allclose(found, SHADES[row], atol=4)


def test_more_figures_make_further_pages(
    slide: Slide, predicted: Predicted, tmp_path: Path
) -> None:
    drawn = write_contact_sheet(tmp_path / "c.sheet.jpg", slide, predicted(P), XY, per_page=5)
    assert [one.name for one in drawn.paths] == [
        "c.sheet.jpg",
        "c.sheet-2.jpg",
        "c.sheet-3.jpg",
    ]
    assert sorted(tmp_path.glob("*.jpg")) == sorted(drawn.paths)
    assert [len(cells(page)) for page in drawn.paths] == [5, 5, 2]
    found = [shade for page in drawn.paths for shade in middles(page)]
    np.testing.assert_allclose(found, SHADES[ORDER], atol=4)
    assert len({Image.open(page).width for page in drawn.paths}) == 1


def test_the_header_counts_all_and_tells_of_those_left_out(
    slide: Slide, predicted: Predicted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict] = []
    draw = contact_sheet.header

    def spied(width: int, **given: object) -> Image.Image:
        said.append(given)
        return draw(width, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(contact_sheet, "header", spied)
    calibration = Calibration(1.0, 0.0, 0.5, 0.4, 0.6, "a test")
    drawn = write_contact_sheet(
        tmp_path / "s.jpg",
        slide,
        predicted(P),
        XY,
        most=7,
        calibration=calibration,
        bundle_name="first",
    )
    assert len(cells(drawn.paths[0])) == 7
    assert said[0]["title"] == "case 7.tif"
    assert Counter(said[0]["classes"]) == {ATYPICAL: 4, REFER: 2, NORMAL: 6}
    assert {"operating point 0.50", "refer 0.40 to 0.60", "bundle first"} <= set(said[0]["details"])
    assert said[0]["remarks"] == [
        "Shown are the 7 figures of highest P(atypical); the other 5 have 0.30 or less."
    ]


def test_a_figure_that_cannot_be_read_gets_an_empty_cell(
    slide: Slide, predicted: Predicted, tmp_path: Path
) -> None:
    xy = XY.copy()
    xy[1] = (9000, 5)
    drawn = write_contact_sheet(tmp_path / "s.jpg", slide, predicted(P), xy)
    assert len(drawn.failures) == 1
    assert "x 9000, y 5 does not lie on the slide" in drawn.failures[0]
    corners = cells(drawn.paths[0])
    assert [name for _, name in corners] == [ATYPICAL] * 4 + [REFER] * 2 + [NORMAL] * 6
    y, x = corners[1][0]
    inside = np.asarray(Image.open(drawn.paths[0]).convert("RGB"))[y + 6 : y + 130, x + 6 : x + 130]
    assert np.ptp(inside.mean(axis=2)) > 150  # words in it
    assert (np.abs(inside.astype(int) - 239).max(axis=2) < 8).mean() > 0.8
    for found, row in zip(middles(drawn.paths[0]), ORDER, strict=True):
        if row != 1:
            np.testing.assert_allclose(found, SHADES[row], atol=4)


@pytest.mark.parametrize(
    ("mpp", "square_px", "window_um"),
    # The last is a window of 6.5 px, cut out of 7.
    [(0.25, 64, 32), (0.25, 64, 24), (0.25, 64, 64), (4.0, 5, 26)],
)
def test_a_thumbnail_shows_the_tissue_asked_for(
    write_slide: Callable[..., Path],
    predicted: Predicted,
    tmp_path: Path,
    mpp: float,
    square_px: int,
    window_um: float,
) -> None:
    pixels = np.full((400, 500, 3), 250, dtype=np.uint8)
    pixels[168 : 168 + square_px, 218 : 218 + square_px] = 20
    slide = open_slide(write_slide(pixels, mpp=mpp))
    xy = np.array([[218 + square_px / 2, 168 + square_px / 2]])
    drawn = write_contact_sheet(
        tmp_path / "s.jpg", slide, predicted([0.9]), xy, window_um=window_um
    )
    (y, x), _ = cells(drawn.paths[0])[0]
    page = np.asarray(Image.open(drawn.paths[0]).convert("L"))
    thumbnail = page[y + 4 : y + 4 + THUMBNAIL_PX, x + 4 : x + 4 + THUMBNAIL_PX]
    dark = np.nonzero(thumbnail[THUMBNAIL_PX // 2] < 128)[0]
    assert len(dark) == pytest.approx(square_px * mpp / window_um * THUMBNAIL_PX, abs=3)
    assert (dark[0] + dark[-1]) / 2 == pytest.approx((THUMBNAIL_PX - 1) / 2, abs=1)


def test_words_stay_in_their_cell(slide: Slide, predicted: Predicted, tmp_path: Path) -> None:
    figures = predicted(P).assign(phase="a phase of which the name never comes to an end")
    drawn = write_contact_sheet(tmp_path / "s.jpg", slide, figures, XY)
    page = np.asarray(Image.open(drawn.paths[0]).convert("L"))
    corners = [corner for corner, _ in cells(drawn.paths[0])]
    for y, x in corners[:9]:
        words = page[y + 160 : y + 210, x : x + 147]
        assert words.min() < 160
        assert words[:, 133:].min() > 235


def test_the_same_figures_give_the_same_bytes(
    slide: Slide, predicted: Predicted, tmp_path: Path
) -> None:
    for name in ("a.jpg", "b.jpg"):
        write_contact_sheet(tmp_path / name, slide, predicted(P), XY)
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()


def test_no_figures_are_a_page_that_says_so(
    slide: Slide, predicted: Predicted, tmp_path: Path
) -> None:
    drawn = write_contact_sheet(tmp_path / "s.jpg", slide, predicted([]), np.empty((0, 2)))
    assert cells(drawn.paths[0]) == []


def test_figures_are_read_neighbourhood_by_neighbourhood() -> None:
    xy = np.random.default_rng(0).uniform(0, 8192, (500, 2))
    order = contact_sheet._by_neighbourhood(xy, 0.25)
    assert sorted(order) == list(range(500))
    blocks = [tuple(block) for block in (xy[order] // 1024).astype(int)]
    changes = sum(one != other for one, other in pairwise(blocks))
    assert changes == len(set(blocks)) - 1


def test_only_jpeg_is_written(slide: Slide, predicted: Predicted, tmp_path: Path) -> None:
    with pytest.raises(AtypiaError, match=r"the ending \.png is not one of .* call it s\.jpg"):
        write_contact_sheet(tmp_path / "s.png", slide, predicted(P), XY)
    assert not (tmp_path / "s.png").exists()


def test_letters_are_there_and_fit() -> None:
    # A letter that a font lacks is drawn as its box, as wide as that of any other it lacks.
    absent = letters(13).getmask("\ue123").getbbox()
    assert all(letters(13).getmask(one).getbbox() != absent for one in "µé×Ωж·…")
    for width in (20, 60, 200):
        assert (
            letters(13).getlength(shorten_text("prometaphase, atypical", letters(13), width))
            <= width
        )
    assert shorten_text("short", letters(13), 200) == "short"


def test_words_are_read_on_every_colour() -> None:
    def light(colour: tuple[int, int, int]) -> float:
        linear = [
            (c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in COLOURS.values():
        low, high = sorted((light(colour), light(ink_on(colour))))
        assert (high + 0.05) / (low + 0.05) > 4
