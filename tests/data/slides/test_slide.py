"""Windows around points of a slide, the same from every form of file.

The right pixels of the right level, mirrored at the edge, from any thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import pytest

from atypia.data.slides import Slide, open_slide
from atypia.data.slides.openslide_handle import OpenSlideHandle
from atypia.data.slides.tiff import TiffHandle
from atypia.errors import ImageError
from slide_files import FORMS, HIGH, WIDE, halved, pixels, write_aperio

LEVEL0 = pixels()
PYRAMIDS = [form for form, (_, _, pyramid) in FORMS.items() if pyramid]


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Slide]]:
    folder = tmp_path_factory.mktemp("slides")
    opened = {
        form: open_slide(write(folder / name, LEVEL0)) for form, (write, name, _) in FORMS.items()
    }
    yield opened
    for slide in opened.values():
        slide.close()


@pytest.fixture(params=FORMS)
def slide(request: pytest.FixtureRequest, slides: dict[str, Slide]) -> Slide:
    return slides[request.param]


@pytest.fixture(params=PYRAMIDS)
def pyramid(request: pytest.FixtureRequest, slides: dict[str, Slide]) -> Slide:
    return slides[request.param]


def test_scanners_files_go_to_openslide_and_other_tiffs_to_tifffile(
    slides: dict[str, Slide],
) -> None:
    for form, slide in slides.items():
        kind = OpenSlideHandle if form in ("aperio", "dicom") else TiffHandle
        assert isinstance(slide._handle, kind), form


def test_it_knows_its_size_and_resolution(slide: Slide) -> None:
    assert slide.size_px == slide.reach_px == slide.level_px[0] == (WIDE, HIGH)
    assert slide.level_mpp[0] == pytest.approx(0.25)
    assert slide.mpp_source == "slide"


def test_it_knows_its_levels(pyramid: Slide) -> None:
    assert pyramid.level_mpp == pytest.approx((0.25, 0.5))
    assert pyramid.level_px == ((WIDE, HIGH), (WIDE // 2, HIGH // 2))


@pytest.mark.parametrize("side", [31, 32])
def test_a_window_of_level_0_has_the_point_at_its_centre(slide: Slide, side: int) -> None:
    x, y = (200 + side / 2, 300 + side / 2)
    window = slide.window(x, y, side_um=side * 0.25, level=slide.level_for(0.1))
    assert window.dtype == np.uint8
    np.testing.assert_array_equal(window, LEVEL0[300 : 300 + side, 200 : 200 + side])


@pytest.mark.parametrize("place", [400.0, 400.5, 400.2, 400.26])
def test_a_point_lies_at_the_centre_whatever_side_is_asked_for(slide: Slide, place: float) -> None:
    for side in (31, 32):
        window = slide.window(place, 300, side_um=side * 0.25, level=0)
        wide = window.shape[1]
        assert wide in (side, side + 1)
        first = round(place - wide / 2)
        assert abs(first + wide / 2 - place) <= 0.26
        assert window.shape[0] == 32  # 300 lies between two pixels
        np.testing.assert_array_equal(window, LEVEL0[284:316, first : first + wide])


@pytest.mark.parametrize(("wanted", "level"), [(0.25, 0), (0.49, 0), (0.497, 1), (0.5, 1), (3, 1)])
def test_the_coarsest_level_that_is_fine_enough_is_read(
    pyramid: Slide, wanted: float, level: int
) -> None:
    assert pyramid.level_for(wanted) == level
    window = pyramid.window(400, 300, side_um=8, level=level)
    if level:
        np.testing.assert_array_equal(window, halved(LEVEL0)[142:158, 192:208])


@pytest.mark.parametrize(("x", "y"), [(0, 0), (WIDE, HIGH), (5, 300), (500, HIGH - 3)])
def test_beyond_the_edge_it_is_mirrored(slide: Slide, x: float, y: float) -> None:
    window = slide.window(x, y, side_um=10, level=0)
    wide = np.pad(LEVEL0, ((40, 40), (40, 40), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(window, wide[y + 20 : y + 60, x + 20 : x + 60])


@pytest.mark.parametrize(("x", "y"), [(-0.1, 5), (5, HIGH + 0.1), (1e9, 5), (float("nan"), 5)])
def test_a_point_off_the_slide_is_refused(slide: Slide, x: float, y: float) -> None:
    with pytest.raises(ImageError, match=r"does not lie on the slide of 1024 x 768 px"):
        slide.window(x, y, side_um=8, level=0)


def test_threads_get_each_what_it_asked_for(slide: Slide) -> None:
    rng = np.random.default_rng(1)
    places = np.column_stack([rng.integers(20, WIDE - 20, 200), rng.integers(20, HIGH - 20, 200)])

    def right(place: np.ndarray) -> bool:
        x, y = map(int, place)
        window = slide.window(x, y, side_um=10, level=0)
        return np.array_equal(window, LEVEL0[y - 20 : y + 20, x - 20 : x + 20])

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(right, places))


def test_points_count_from_the_bounds_or_from_the_corner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_aperio(tmp_path / "s.svs", LEVEL0)
    properties = openslide.OpenSlide.properties.fget  # type: ignore[attr-defined]
    bounds = {"openslide.bounds-x": "100", "openslide.bounds-y": "40"}
    monkeypatch.setattr(
        openslide.OpenSlide, "properties", property(lambda self: {**properties(self), **bounds})
    )
    for origin, x, y in (("bounds", 316, 356), ("slide", 416, 396)):
        slide = open_slide(path, origin=origin)  # type: ignore[arg-type]
        window = slide.window(x, y, side_um=8, level=0)
        np.testing.assert_array_equal(window, LEVEL0[380:412, 400:432])
    with pytest.raises(ImageError, match="924 x 728 px"):
        open_slide(path).window(925, 5, side_um=8, level=0)


def test_what_the_scanner_left_out_is_white(
    slides: dict[str, Slide], monkeypatch: pytest.MonkeyPatch
) -> None:
    for form in ("aperio", "alpha"):
        handle = slides[form]._handle
        read = handle.read_region

        def holed(*asked, read=read):  # type: ignore[no-untyped-def]
            region = read(*asked).copy()
            region[:4, :4] = 0
            return region

        monkeypatch.setattr(handle, "read_region", holed)
        window = slides[form].window(300, 300, side_um=8, level=0)
        assert (window[:4, :4] == 255).all()
        np.testing.assert_array_equal(window[4:], LEVEL0[288:316, 284:316])
