"""A slide as a whole, small: every pixel the mean of what it covers, and never much in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from atypia.data.slides import Slide, open_slide
from atypia.errors import ImageError
from slide_files import resolution

WIDE, HIGH = 1024, 768


@pytest.fixture(scope="module")
def levels() -> list[np.ndarray]:
    """Two levels that share no pixel, so that it is seen which one was read."""
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 128, (HIGH, WIDE, 3), dtype=np.uint8)
    return [fine, rng.integers(128, 256, (HIGH // 2, WIDE // 2, 3), dtype=np.uint8)]


def _write(path: Path, levels: list[np.ndarray]) -> Path:
    aperio = {"description": "Aperio Image Library v12|MPP = 0.25"}
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate(levels):
            file.write(
                level,
                tile=(128, 128),
                photometric="rgb",
                subfiletype=int(number > 0),
                metadata=None,
                **(aperio if path.suffix == ".svs" and not number else {}),
                **resolution(0.25 * 2**number),
            )
    return path


@pytest.fixture(scope="module", params=["s.svs", "s.tif"])
def path(
    levels: list[np.ndarray],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Read by OpenSlide and by tifffile."""
    return _write(tmp_path_factory.mktemp("slides") / request.param, levels)


@pytest.fixture(scope="module")
def slide(path: Path) -> Slide:
    return open_slide(path)


@pytest.mark.parametrize(("longest", "level", "factor"), [(1024, 0, 1), (512, 1, 1), (128, 1, 4)])
def test_each_pixel_is_the_mean_of_what_it_covers(
    slide: Slide, levels: list[np.ndarray], longest: int, level: int, factor: int
) -> None:
    pixels, mpp = slide.overview(longest)
    high, wide = (side // factor for side in levels[level].shape[:2])
    blocks = levels[level].reshape(high, factor, wide, factor, 3)
    assert pixels.shape == (high, wide, 3)
    np.testing.assert_allclose(pixels, blocks.mean(axis=(1, 3)), atol=1)
    assert mpp == pytest.approx(256 / longest)


def test_sizes_that_do_not_divide_and_bands_leave_no_seam(
    slide: Slide, levels: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atypia.data.slides.slide._BAND_PX", 40 * 512)
    pixels, mpp = slide.overview(300)
    assert pixels.shape == (225, 300, 3)
    assert mpp == pytest.approx(256 / 300)
    whole = Image.fromarray(levels[1]).resize((300, 225), Image.Resampling.BOX)
    np.testing.assert_allclose(pixels.astype(int), np.asarray(whole).astype(int), atol=2)


def test_a_slide_smaller_than_asked_for_keeps_its_size(
    slide: Slide, levels: list[np.ndarray]
) -> None:
    pixels, mpp = slide.overview(5000)
    np.testing.assert_array_equal(pixels, levels[0])
    assert mpp == pytest.approx(0.25)


def test_it_reads_bands_of_bounded_size(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slide = open_slide(path)
    read = slide._handle.read_region
    asked: list[tuple[int, int]] = []

    def spied(place: tuple[int, int], level: int, size: tuple[int, int]):  # type: ignore[no-untyped-def]
        asked.append(size)
        return read(place, level, size)

    monkeypatch.setattr(slide._handle, "read_region", spied)
    monkeypatch.setattr("atypia.data.slides.slide._BAND_PX", 50_000)
    slide.overview(1000)
    assert max(wide * high for wide, high in asked) < 55_000
    assert sum(wide * high for wide, high in asked) < 1.1 * WIDE * HIGH


def test_points_and_overview_count_from_the_same_corner(
    tmp_path: Path, levels: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path / "s.svs", levels)
    properties = openslide.OpenSlide.properties.fget  # type: ignore[attr-defined]
    bounds = {"x": "100", "y": "40", "width": "512", "height": "256"}
    said = {f"openslide.bounds-{name}": value for name, value in bounds.items()}
    monkeypatch.setattr(
        openslide.OpenSlide, "properties", property(lambda self: {**properties(self), **said})
    )
    pixels, _ = open_slide(path).overview(512)
    np.testing.assert_array_equal(pixels, levels[0][40:296, 100:612])
    pixels, _ = open_slide(path).overview(256)
    np.testing.assert_array_equal(pixels, levels[1][20:148, 50:306])
    assert open_slide(path, origin="slide").overview(512)[0].shape == (384, 512, 3)


def test_what_the_scanner_left_out_is_white(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slide = open_slide(path)
    read = slide._handle.read_region

    def holed(place: tuple[int, int], level: int, size: tuple[int, int]):  # type: ignore[no-untyped-def]
        region = read(place, level, size)
        opaque = np.full((*region.shape[:2], 1), 255, np.uint8)
        region = np.concatenate([region[..., :3], opaque], axis=-1)
        region[:64, :64] = 0
        return region

    monkeypatch.setattr(slide._handle, "read_region", holed)
    pixels, _ = slide.overview(256)
    assert (pixels[:32, :32] == 255).all()
    assert (pixels[33:, 33:] < 255).all()


def test_a_level_too_large_to_read_gives_way_to_a_coarser_one(
    slide: Slide, levels: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atypia.data.slides.slide._MOST_OVERVIEW_PX", WIDE * HIGH / 2)
    pixels, mpp = slide.overview(1000)
    np.testing.assert_array_equal(pixels, levels[1])
    assert mpp == pytest.approx(0.5)
    monkeypatch.setattr("atypia.data.slides.slide._MOST_OVERVIEW_PX", WIDE * HIGH / 8)
    with pytest.raises(ImageError, match="has no level small enough for an overview") as refused:
        slide.overview(1000)
    assert "\n" not in str(refused.value)


def test_a_slide_that_breaks_off_is_refused_in_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = open_slide(path)

    def broken(*_: object) -> None:
        raise OSError("TIFFRGBAImageGet failed")

    monkeypatch.setattr(slide._handle, "read_region", broken)
    with pytest.raises(ImageError, match=r"s\....: cannot be read as a whole .* copy the slide"):
        slide.overview()
