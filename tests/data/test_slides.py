"""Windows around points of a slide: the right pixels of the right level, mirrored at the edge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from atypia.data.slides import Slide, open_slide
from atypia.errors import ImageError

WIDE, HIGH = 1024, 768


def _write(path: Path, level0: np.ndarray, mpp: float | None = 0.25) -> Path:
    """Write a tiled pyramid of two levels, as scanners do."""
    half = level0.reshape(HIGH // 2, 2, WIDE // 2, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate((level0, half)):
            resolution = {}
            if mpp is not None:
                per_cm = 1e4 / (mpp * 2**number)
                resolution = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
            file.write(
                level, tile=(128, 128), photometric="rgb", subfiletype=int(number > 0), **resolution
            )
    return path


@pytest.fixture(scope="module")
def level0() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HIGH, WIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def path(level0: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("slides") / "s.tif", level0)


@pytest.fixture(scope="module")
def slide(path: Path) -> Slide:
    return open_slide(path)


def test_it_knows_its_size_and_resolution(slide: Slide) -> None:
    assert slide.size_px == (WIDE, HIGH)
    assert slide.level_mpp == pytest.approx((0.25, 0.5))
    assert slide.mpp_source == "slide"


@pytest.mark.parametrize("side", [31, 32])
def test_a_window_of_level_0_has_the_point_at_its_centre(
    slide: Slide, level0: np.ndarray, side: int
) -> None:
    x, y = (200 + side / 2, 300 + side / 2)
    pixels = slide.window(x, y, side_um=side * 0.25, level=slide.level_for(0.1))
    np.testing.assert_array_equal(pixels, level0[300 : 300 + side, 200 : 200 + side])


@pytest.mark.parametrize("place", [400.0, 400.5, 400.2, 400.26])
def test_a_point_lies_at_the_centre_whatever_side_is_asked_for(
    slide: Slide, level0: np.ndarray, place: float
) -> None:
    for side in (31, 32):
        pixels = slide.window(place, 300, side_um=side * 0.25, level=0)
        wide = pixels.shape[1]
        assert wide in (side, side + 1)
        first = round(place - wide / 2)
        assert abs(first + wide / 2 - place) <= 0.26
        assert pixels.shape[0] == 32  # 300 lies between two pixels
        np.testing.assert_array_equal(pixels, level0[284:316, first : first + wide])


@pytest.mark.parametrize(("wanted", "level"), [(0.25, 0), (0.49, 0), (0.497, 1), (0.5, 1), (3, 1)])
def test_the_coarsest_level_that_is_fine_enough_is_read(
    slide: Slide, level0: np.ndarray, wanted: float, level: int
) -> None:
    assert slide.level_for(wanted) == level
    pixels = slide.window(400, 300, side_um=8, level=level)
    if level:
        mean = level0[284:316, 384:416].reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
        np.testing.assert_array_equal(pixels, mean.astype(np.uint8))


@pytest.mark.parametrize(("x", "y"), [(0, 0), (WIDE, HIGH), (5, 300), (500, HIGH - 3)])
def test_beyond_the_edge_it_is_mirrored(
    slide: Slide, level0: np.ndarray, x: float, y: float
) -> None:
    pixels = slide.window(x, y, side_um=10, level=0)
    wide = np.pad(level0, ((40, 40), (40, 40), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(pixels, wide[y + 20 : y + 60, x + 20 : x + 60])


@pytest.mark.parametrize(("x", "y"), [(-1, 5), (5, HIGH + 1), (1e9, 5)])
def test_a_point_off_the_slide_is_refused(slide: Slide, x: float, y: float) -> None:
    with pytest.raises(ImageError, match=r"does not lie on the slide of 1024 x 768 px"):
        slide.window(x, y, side_um=8, level=0)


def test_points_count_from_the_bounds_or_from_the_corner(
    path: Path, level0: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    properties = openslide.OpenSlide.properties.fget  # type: ignore[attr-defined]
    bounds = {"openslide.bounds-x": "100", "openslide.bounds-y": "40"}
    monkeypatch.setattr(
        openslide.OpenSlide, "properties", property(lambda self: {**properties(self), **bounds})
    )
    for origin, x, y in (("bounds", 316, 356), ("slide", 416, 396)):
        slide = open_slide(path, origin=origin)  # type: ignore[arg-type]
        pixels = slide.window(x, y, side_um=8, level=0)
        np.testing.assert_array_equal(pixels, level0[380:412, 400:432])
    with pytest.raises(ImageError, match="924 x 728 px"):
        open_slide(path).window(925, 5, side_um=8, level=0)


def test_what_the_scanner_left_out_is_white(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slide = open_slide(path)
    read = slide._handle.read_region

    def holed(place: tuple[int, int], level: int, size: tuple[int, int]):  # type: ignore[no-untyped-def]
        region = read(place, level, size)
        region.paste((0, 0, 0, 0), (0, 0, 4, 4))
        return region

    monkeypatch.setattr(slide._handle, "read_region", holed)
    pixels = slide.window(300, 300, side_um=8, level=0)
    assert (pixels[:4, :4] == 255).all()
    assert not (pixels[4:, 4:] == 255).all()


def test_mpp_may_be_given_and_must_be_right(path: Path, level0: np.ndarray, tmp_path: Path) -> None:
    given = open_slide(path, mpp=0.5)
    assert (given.mpp, given.mpp_source) == (0.5, "given")
    silent = _write(tmp_path / "silent.tif", level0, mpp=None)
    with pytest.raises(ImageError, match="does not say how large a pixel is; give --mpp"):
        open_slide(silent)
    assert open_slide(silent, mpp=0.25).mpp == 0.25
    for wrong in (0.0, 1000.0):
        with pytest.raises(ImageError, match=r"--mpp is .* expected 0\.05 to 5"):
            open_slide(path, mpp=wrong)
    coarse = _write(tmp_path / "coarse.tif", level0, mpp=1000)
    with pytest.raises(ImageError, match=r"the slide says that a pixel is 1000 um"):
        open_slide(coarse)


def test_what_is_no_slide_is_refused_in_one_line(path: Path, tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("nothing")
    (tmp_path / "cut.tif").write_bytes(path.read_bytes()[:5000])
    for name in ("text.tif", "cut.tif", "absent.tif"):
        with pytest.raises(ImageError) as refused:
            open_slide(tmp_path / name)
        assert str(refused.value).startswith(str(tmp_path / name))
        assert "\n" not in str(refused.value)
