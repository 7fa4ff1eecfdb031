"""The overview: markers at the figures' places, seen whatever their number, with a true scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from atypia.data.slides import open_slide
from atypia.errors import AtypiaError
from atypia.inference import overview
from atypia.inference.drawing import MARGIN_PX
from atypia.inference.overview import scale_bar_mm, write_overview
from atypia.inference.slides import ATYPICAL, COLOURS, NORMAL, REFER

WIDE, HIGH, TISSUE = 2400, 1800, (205, 160, 195)
FOOT_PX = 48

Predicted = Callable[[list[float]], pd.DataFrame]


@pytest.fixture
def path(write_slide: Callable[..., Path]) -> Path:
    return write_slide(np.full((HIGH, WIDE, 3), TISSUE, dtype=np.uint8))


def body(path: Path, high: int) -> tuple[np.ndarray, int]:
    """Return a picture's pixels, int (H, W, 3), and the row at which the slide begins."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return pixels, len(pixels) - FOOT_PX - high


def places(pixels: np.ndarray, name: str, top: int) -> np.ndarray:
    """Return where the slide's pixels have the colour of a class, (N, 2) x and y."""
    near = np.abs(pixels[top:-FOOT_PX] - COLOURS[name]).max(axis=2) < 25
    y, x = np.nonzero(near)
    return np.column_stack([x, y])


@pytest.mark.parametrize("longest", [1200, 1000])
def test_rings_stand_around_the_figures(
    path: Path, predicted: Predicted, tmp_path: Path, longest: int
) -> None:
    xy = np.array([[300.0, 200.0], [1713.0, 1100.0], [2000.0, 341.0]])
    drawn = write_overview(
        tmp_path / "o.jpg", open_slide(path), predicted([0.9, 0.5, 0.1]), xy, longest_px=longest
    )
    assert drawn.paths == (tmp_path / "o.jpg",)
    assert drawn.failures == ()
    shrink = longest / WIDE
    pixels, top = body(drawn.paths[0], round(HIGH * shrink))
    assert pixels.shape[1] == longest + 2 * MARGIN_PX
    for name, place in zip((ATYPICAL, REFER, NORMAL), xy, strict=True):
        found = places(pixels, name, top)
        centre = (found.min(axis=0) + found.max(axis=0)) / 2
        np.testing.assert_allclose(centre, place * shrink + [MARGIN_PX, 0], atol=2)
        np.testing.assert_allclose(found.mean(axis=0), centre, atol=1)
        # A ring: the figure is seen in it, and a white rim parts it from the tissue.
        x, y = (round(one) for one in centre)
        np.testing.assert_allclose(pixels[top + y, x], TISSUE, atol=12)
        line = pixels[top + y, x - 30 : x]
        assert line.min(axis=1).max() > 225


def test_the_atypical_lies_on_top(path: Path, predicted: Predicted, tmp_path: Path) -> None:
    xy = np.array([[600.0, 600.0]] * 3)
    write_overview(tmp_path / "o.jpg", open_slide(path), predicted([0.9, 0.5, 0.1]), xy)
    write_overview(tmp_path / "one.jpg", open_slide(path), predicted([0.9]), xy[:1])
    pixels, top = body(tmp_path / "o.jpg", 1500)
    alone, top_alone = body(tmp_path / "one.jpg", 1500)
    assert len(places(pixels, ATYPICAL, top)) == pytest.approx(
        len(places(alone, ATYPICAL, top_alone)), rel=0.03
    )


def test_thousands_leave_the_tissue_to_be_seen(
    path: Path, predicted: Predicted, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform((60, 60), (WIDE - 60, HIGH - 60), (4000, 2))
    p = rng.uniform(0, 1, 4000)
    write_overview(tmp_path / "o.jpg", open_slide(path), predicted(list(p)), xy)
    pixels, top = body(tmp_path / "o.jpg", 1500)
    for name in COLOURS:
        assert len(places(pixels, name, top)) > 4000
    slide = pixels[top:-FOOT_PX, MARGIN_PX:-MARGIN_PX]
    assert (np.abs(slide - TISSUE).max(axis=2) < 12).mean() > 0.7


def test_points_count_from_the_bounds(
    path: Path, predicted: Predicted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = replace(open_slide(path), origin_px=(400, 200), extent_px=(1200, 1000))
    xy = np.array([[300.0, 500.0], [1500.0, 100.0]])
    remarks = []
    draw = overview.header

    def spied(width: int, **given: object) -> Image.Image:
        remarks.extend(given["remarks"])  # type: ignore[call-overload]
        return draw(width, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(overview, "header", spied)
    write_overview(tmp_path / "o.jpg", slide, predicted([0.9, 0.9]), xy)
    pixels, top = body(tmp_path / "o.jpg", 1000)
    assert pixels.shape[1] == 1200 + 2 * MARGIN_PX
    found = places(pixels, ATYPICAL, top)
    np.testing.assert_allclose(found.mean(axis=0), xy[0] + [MARGIN_PX, 0], atol=2)
    assert remarks == ["1 figure lies outside of this picture."]


@pytest.mark.parametrize("why", ["too large", "damaged"])
def test_a_slide_that_cannot_be_read_is_an_outline(
    path: Path,
    predicted: Predicted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    slide = open_slide(path)
    if why == "too large":
        monkeypatch.setattr("atypia.data.slides.slide._MOST_OVERVIEW_PX", 1000)
    else:

        def broken(*_: object) -> None:
            raise OSError("cannot decode")

        monkeypatch.setattr(slide._handle, "read_region", broken)
    remarks: list[str] = []
    draw = overview.header

    def spied(width: int, **given: object) -> Image.Image:
        remarks.extend(given["remarks"])  # type: ignore[call-overload]
        return draw(width, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(overview, "header", spied)
    xy = np.array([[600.0, 900.0]])
    drawn = write_overview(tmp_path / "o.jpg", slide, predicted([0.1]), xy, longest_px=1200)
    assert len(drawn.failures) == 1
    assert drawn.failures[0].startswith(str(path))
    assert remarks[0].startswith("The slide is not drawn, only its outline: it ")
    assert str(tmp_path) not in remarks[0]
    pixels, top = body(drawn.paths[0], 900)
    found = places(pixels, NORMAL, top)
    np.testing.assert_allclose(found.mean(axis=0), [300 + MARGIN_PX, 450], atol=2)
    assert (pixels[top : top + 2, MARGIN_PX:-MARGIN_PX].max(axis=2) < 200).all()
    assert (pixels[top + 10 : top + 400, MARGIN_PX + 10 : -MARGIN_PX - 10] > 250).all()


@pytest.mark.parametrize(
    ("mpp", "wide", "mm"),
    [(50, 2000, 20), (10, 1000, 2), (1, 1000, 0.2), (0.5, 1999, 0.1), (0.25, 900, 0.02)],
)
def test_the_scale_bar_is_round(mpp: float, wide: int, mm: float) -> None:
    assert scale_bar_mm(mpp, wide) == pytest.approx(mm)


def test_the_scale_bar_is_true(path: Path, predicted: Predicted, tmp_path: Path) -> None:
    write_overview(tmp_path / "o.jpg", open_slide(path), predicted([0.1]), np.array([[9.0, 9.0]]))
    pixels, _ = body(tmp_path / "o.jpg", 1500)
    # 2,400 px of 0.25 um in 2,000 px: 0.1 mm are 333 px.
    dark = np.nonzero(pixels[-FOOT_PX + 24].max(axis=1) < 100)[0]
    bar = dark[dark < MARGIN_PX + 340]
    assert bar[0] == pytest.approx(MARGIN_PX, abs=1)
    assert bar[-1] - bar[0] + 1 == pytest.approx(333.3, abs=2)


def test_a_small_region_is_drawn_larger(
    write_slide: Callable[..., Path], predicted: Predicted, tmp_path: Path
) -> None:
    pixels = np.full((120, 160, 3), TISSUE, dtype=np.uint8)
    slide = open_slide(write_slide(pixels, levels=1))
    write_overview(tmp_path / "o.jpg", slide, predicted([0.9]), np.array([[40.0, 60.0]]))
    found, top = body(tmp_path / "o.jpg", 675)
    assert found.shape[1] == 900 + 2 * MARGIN_PX
    centre = places(found, ATYPICAL, top).mean(axis=0)
    np.testing.assert_allclose(centre, [225 + MARGIN_PX, 337.5], atol=2)


def test_the_same_figures_give_the_same_bytes(
    path: Path, predicted: Predicted, tmp_path: Path
) -> None:
    xy = np.array([[300.0, 200.0], [1713.0, 1100.0]])
    for name in ("a.jpg", "b.jpg"):
        write_overview(tmp_path / name, open_slide(path), predicted([0.9, 0.1]), xy)
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()


def test_no_figures_and_wrong_endings(path: Path, predicted: Predicted, tmp_path: Path) -> None:
    empty = np.empty((0, 2))
    write_overview(tmp_path / "o.jpg", open_slide(path), predicted([]), empty)
    pixels, top = body(tmp_path / "o.jpg", 1500)
    assert all(len(places(pixels, name, top)) == 0 for name in COLOURS)
    with pytest.raises(AtypiaError, match=r"the ending \(none\) is not one of"):
        write_overview(tmp_path / "o", open_slide(path), predicted([]), empty)
