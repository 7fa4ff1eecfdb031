"""Plain TIFF and OME-TIFF: what is read, what is refused, and how much is decoded."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from atypia.data.slides import open_slide
from atypia.errors import ImageError
from slide_files import (
    HIGH,
    TILE,
    WIDE,
    halved,
    pixels,
    resolution,
    write_flat,
    write_ome,
    write_planes,
)

LEVEL0 = pixels()
SMOOTH = np.kron(LEVEL0[:96, :128], np.ones((8, 8, 1), np.uint8))


@pytest.mark.parametrize(
    "compression", ["lzw", "deflate", "zstd", "packbits", "jpeg", "jpeg2000", "webp", "jpegxl"]
)
@pytest.mark.parametrize("tiled", [True, False])
def test_common_compressions(compression: str, tiled: bool, tmp_path: Path) -> None:
    parts: dict[str, Any] = {"tile": (TILE, TILE)} if tiled else {"rowsperstrip": 32}
    path = tmp_path / "s.tif"
    tifffile.imwrite(
        path, SMOOTH, photometric="rgb", compression=compression, **parts, **resolution(0.25)
    )
    window = open_slide(path).window(500, 300, side_um=25, level=0)
    off = np.abs(window.astype(int) - SMOOTH[250:350, 450:550])
    if compression in ("jpeg", "webp", "jpegxl"):
        assert np.median(off) <= 8
    else:
        assert off.max() == 0


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["Red", "Green", "Blue"], [0, 1, 2]),
        (["blue", "green", "red"], [2, 1, 0]),
        (["Channel 0", "Channel 1", "Channel 2"], [0, 1, 2]),
        (["C:1/3", "C:2/3", "C:3/3"], [0, 1, 2]),
    ],
)
def test_colours_in_planes_come_together_as_they_are_named(
    names: list[str], order: list[int], tmp_path: Path
) -> None:
    slide = open_slide(write_planes(tmp_path / "s.ome.tif", LEVEL0[..., order], names=names))
    for level, whole in enumerate((LEVEL0, halved(LEVEL0))):
        window = slide.window(400, 300, side_um=8 * 2**level, level=level)
        top, left = 300 // 2**level - 16, 400 // 2**level - 16
        np.testing.assert_array_equal(window, whole[top : top + 32, left : left + 32])


def test_stains_in_planes_are_no_colours(tmp_path: Path) -> None:
    path = write_planes(tmp_path / "s.ome.tif", LEVEL0, names=["DAPI", "FITC", "TRITC"])
    with pytest.raises(ImageError) as refused:
        open_slide(path)
    assert "its colours lie in planes of their own (its channels are DAPI, FITC, TRITC" in str(
        refused.value
    )
    assert "raw2ometiff --rgb" in str(refused.value)


def test_three_grey_pages_that_nobody_explains_are_not_coloured(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    planes = np.moveaxis(LEVEL0, -1, 0)
    tifffile.imwrite(path, planes, imagej=True, metadata={"axes": "CYX", "mode": "composite"})
    with pytest.raises(ImageError, match=r"holds 3 grey images, .* save it as RGB"):
        open_slide(path, mpp=0.25)


def test_a_mask_of_the_slides_size_is_no_second_slide(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(LEVEL0, photometric="rgb", tile=(TILE, TILE), **resolution(0.25))
        file.write(LEVEL0[..., 0], photometric="minisblack", subfiletype=1, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[1].tags["NewSubfileType"].overwrite(4)
    assert open_slide(path).level_px == ((WIDE, HIGH),)


def test_the_slide_is_found_beside_label_and_overview(tmp_path: Path) -> None:
    path = tmp_path / "s.ome.tif"
    tiles: dict[str, Any] = {"tile": (TILE, TILE), "photometric": "rgb"}
    with tifffile.TiffWriter(path, ome=True) as file:
        for small in (LEVEL0[:200, :160], LEVEL0[:300, :400]):
            file.write(
                small, metadata={"axes": "YXS", "PhysicalSizeX": 9, "PhysicalSizeY": 9}, **tiles
            )
        said = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
        file.write(LEVEL0, subifds=1, metadata=said, **tiles)
        file.write(halved(LEVEL0), subfiletype=1, **tiles)
    slide = open_slide(path)
    assert slide.level_px == ((WIDE, HIGH), (WIDE // 2, HIGH // 2))
    assert slide.mpp == 0.25


def test_a_thumbnail_of_another_shape_is_no_level(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(LEVEL0, photometric="rgb", tile=(TILE, TILE), **resolution(0.25))
        file.write(LEVEL0[:200, :200], photometric="rgb", subfiletype=1)
        file.write(LEVEL0[: HIGH // 2, : WIDE // 2, 0], subfiletype=1)
    assert open_slide(path).level_px == ((WIDE, HIGH),)


@pytest.mark.parametrize(
    ("values", "more", "said"),
    [
        (LEVEL0[..., 0], {"photometric": "minisblack"}, "its pixels are grey, 1 x 8 bits"),
        (LEVEL0.astype(np.uint16), {"photometric": "rgb"}, "its pixels are RGB, 3 x 16 bits"),
        (LEVEL0.astype(np.float32), {"photometric": "rgb"}, "its pixels are RGB, 3 x 32 bits"),
        (LEVEL0, {"photometric": "cielab"}, "its pixels are Lab, 3 x 8 bits"),
        (
            np.dstack([LEVEL0, LEVEL0[..., :1]]),
            {"photometric": "separated"},
            "its pixels are CMYK, 4 x 8 bits",
        ),
        (
            np.dstack([LEVEL0, LEVEL0[..., :1]]),
            {"photometric": "rgb", "extrasamples": ["UNSPECIFIED"]},
            "its pixels are RGB, 4 x 8 bits",
        ),
        (
            np.stack([LEVEL0[:256, :256]] * 3),
            {"photometric": "rgb"},
            "holds 3 images of 256 x 256 px, expected one slide",
        ),
    ],
)
@pytest.mark.parametrize("tiled", [True, False])
def test_what_is_not_one_image_of_8_bit_rgb_is_refused(
    values: np.ndarray, more: dict[str, Any], said: str, tiled: bool, tmp_path: Path
) -> None:
    path = tmp_path / "s.tif"
    parts: dict[str, Any] = {"tile": (TILE, TILE)} if tiled else {}
    tifffile.imwrite(path, values, **more, **parts, **resolution(0.25))
    with pytest.raises(ImageError) as refused:
        open_slide(path)
    assert str(refused.value).startswith(f"{path}: {said}")
    assert "expected" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("parts", [{"tile": (TILE, TILE)}, {"rowsperstrip": 16}])
def test_only_what_lies_under_a_window_is_decoded(parts: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    tifffile.imwrite(
        path, LEVEL0, photometric="rgb", compression="deflate", **parts, **resolution(0.25)
    )
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        across = WIDE // TILE if "tile" in parts else 1
        row = 4 if "tile" in parts else 32  # 512 px down
        under = range(row * across, (row + 1) * across)
        spans = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    data = bytearray(path.read_bytes())
    for number, (start, length) in enumerate(spans):
        if number not in under:
            data[start : start + length] = b"\xa5" * length
    path.write_bytes(data)
    slide = open_slide(path)
    window = slide.window(300, 520, side_um=3, level=0)
    np.testing.assert_array_equal(window, LEVEL0[514:526, 294:306])
    with pytest.raises(ImageError, match=r"cannot be read at x 300, y 100 \(.+\); copy the slide"):
        slide.window(300, 100, side_um=3, level=0)


def test_one_strip_that_is_not_compressed_is_not_read_whole(tmp_path: Path) -> None:
    slide = open_slide(write_flat(tmp_path / "s.tif", LEVEL0))
    slide.window(400, 300, side_um=8, level=0)
    tracemalloc.start()
    slide.window(500, 300, side_um=8, level=0)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < LEVEL0.nbytes / 20


def test_a_strip_too_large_to_decode_for_each_window_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atypia.data.slides.tiff._MOST_AT_ONCE", 10**6)
    path = tmp_path / "s.tif"
    tifffile.imwrite(
        path, LEVEL0, photometric="rgb", compression="lzw", rowsperstrip=HIGH, **resolution(0.25)
    )
    with pytest.raises(ImageError, match=r"each strip has 2,359,296 bytes, .* in tiles of 512 px"):
        open_slide(path)


def test_tiles_that_were_never_scanned_are_white(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    tiles = [
        None if column == 1 else LEVEL0[row : row + TILE, left : left + TILE]
        for row in range(0, HIGH, TILE)
        for column, left in enumerate(range(0, WIDE, TILE))
    ]
    tifffile.imwrite(
        path,
        iter(tiles),
        shape=LEVEL0.shape,
        dtype=np.uint8,
        photometric="rgb",
        tile=(TILE, TILE),
        compression="deflate",
        **resolution(0.25),
    )
    window = open_slide(path).window(TILE, 64, side_um=8, level=0)
    np.testing.assert_array_equal(window[:, :16], LEVEL0[48:80, TILE - 16 : TILE])
    assert (window[:, 16:] == 255).all()


def test_tifffile_says_nothing_to_the_user(tmp_path: Path) -> None:
    data = bytearray(write_ome(tmp_path / "s.ome.tif", LEVEL0).read_bytes())
    rng = np.random.default_rng(0)
    for number in range(50):
        damaged = data.copy()
        for place in rng.integers(4, 400, 4):
            damaged[place] = rng.integers(256)
        (tmp_path / f"{number}.tif").write_bytes(damaged)
    program = """
import sys
from pathlib import Path
from atypia.data.slides import open_slide
from atypia.errors import ImageError
refused = 0
for path in Path(sys.argv[1]).glob("?*.tif"):
    try:
        open_slide(path, mpp=0.25).close()
    except ImageError as fault:
        refused += 1
        assert "\\n" not in str(fault)
print(refused)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 10
    assert done.stderr == ""
