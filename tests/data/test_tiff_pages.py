from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from atypia.data.images import figure_pages, read_image


def crop(side: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", [1, 4, 5, 9])
def test_a_thumbnail_or_mask_beside_the_image_is_no_figure(kind: int, tmp_path: Path) -> None:
    path = tmp_path / "crop.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(crop(), photometric="rgb", metadata=None)
        file.write(crop(32, seed=1), photometric="rgb", subfiletype=1, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[1].tags["NewSubfileType"].overwrite(kind)
    assert np.array_equal(read_image(path), crop())
    assert figure_pages(path) == [1]


def test_levels_below_a_page_and_pages_of_aperio_are_no_figures(tmp_path: Path) -> None:
    below, aperio = tmp_path / "below.tif", tmp_path / "aperio.tif"
    with tifffile.TiffWriter(below) as file:
        file.write(crop(), photometric="rgb", subifds=1, metadata=None)
        file.write(crop(32, seed=1), photometric="rgb", subfiletype=1, metadata=None)
    with tifffile.TiffWriter(aperio) as file:
        said = "Aperio Image Library v12.0.15\n64x64 [0,0,64x64] (64x64) JPEG/RGB"
        file.write(crop(), photometric="rgb", description=said, metadata=None)
        file.write(crop(48, seed=1), photometric="rgb", metadata=None)
    for path in (below, aperio):
        assert np.array_equal(read_image(path), crop())
        assert figure_pages(path) == [1]
