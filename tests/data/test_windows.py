from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atypia.data.windows import cut_window, decode_windows
from atypia.errors import ImageError, TableError
from atypia.files import sha256


def test_a_slightly_small_image_is_mirrored_a_too_small_one_refused() -> None:
    image = np.full((64, 64, 3), 200, dtype=np.uint8)
    assert cut_window(image, 0.25, 20.0, 20.0).shape == (80, 80, 3)
    assert (cut_window(image, 0.25, 20.0, 20.0) == 200).all()
    with pytest.raises(ImageError, match=r"16.0 um at 0.25 um/px, but 32 um are needed"):
        cut_window(image, 0.25, 32.0, 32.0)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{n}.png" for n in range(5)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    return paths


def test_decoded_windows_are_found_again_and_follow_a_changed_file(
    images: list[Path], tmp_path: Path
) -> None:
    mpp = np.full(5, 0.25)
    cache = tmp_path / "cache"
    decode = partial(decode_windows, images, mpp, crop_um=8, window_um=12, cache=cache)
    first = decode(content=[sha256(image) for image in images])
    assert first.pixels.shape == (5, 49, 49, 3)
    again = decode(content=[sha256(image) for image in images])
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert len(list(cache.glob("windows-*[0-9a-f].npy"))) == 1
    Image.fromarray(np.zeros((64, 64, 3), dtype=np.uint8)).save(images[2])
    changed = decode(content=[sha256(image) for image in images])
    assert not changed.pixels[2].any()


def test_all_faulty_images_are_named_at_once(images: list[Path]) -> None:
    images[1].write_bytes(b"")
    images[3].write_bytes(images[3].read_bytes()[:60])
    with pytest.raises(TableError) as caught:
        decode_windows(images, np.full(5, 0.25), crop_um=8, window_um=12)
    text = str(caught.value)
    assert "2 of 5" in text
    assert "1.png" in text
    assert "3.png" in text


def test_an_unknown_mpp_is_refused(images: list[Path]) -> None:
    with pytest.raises(TableError, match="mpp"):
        decode_windows(images, np.array([0.25, np.nan, 0.25, 0.25, 0.25]), crop_um=8, window_um=12)
