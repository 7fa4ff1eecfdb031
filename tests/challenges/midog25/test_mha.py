"""MetaImages: 8-bit RGB inside the one file, or one line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from atypia.challenges.midog25.mha import read_mha
from atypia.errors import ImageError

sitk = pytest.importorskip("SimpleITK")
RGB = np.random.default_rng(0).integers(0, 256, (2, 40, 30, 3), dtype=np.uint8)


def _write(path: Path, array: np.ndarray, *, vector: bool = True, packed: bool = False) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vector), str(path), packed)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_rows_columns_and_channels_stay_in_place(tmp_path: Path, packed: bool) -> None:
    found = read_mha(_write(tmp_path / "a.mha", RGB, packed=packed))
    np.testing.assert_array_equal(found, RGB)


@pytest.mark.parametrize(
    ("array", "vector", "message"),
    [
        (RGB[..., 0], False, "1 channels"),
        (np.concatenate([RGB, RGB[..., :1]], axis=-1), True, "4 channels"),
        (RGB.astype(np.uint16), True, "16-bit"),
        (np.zeros((1, 4, 5000, 3), np.uint8), True, "at most 4096 px"),
    ],
    ids=["grey", "alpha", "16 bit", "large"],
)
def test_other_pixels_are_refused(
    tmp_path: Path, array: np.ndarray, vector: bool, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        read_mha(_write(tmp_path / "a.mha", array, vector=vector))


def test_a_damaged_file_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = _write(tmp_path / "a.mha", RGB, packed=True)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ImageError, match="truncated or damaged") as caught:
        read_mha(path)
    assert "\n" not in str(caught.value)
    path.write_bytes(b"no MetaImage")
    with pytest.raises(ImageError, match="not a MetaImage"):
        read_mha(path)
    with pytest.raises(ImageError, match="cannot be read"):
        read_mha(tmp_path / "none.mha")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mha")
    with pytest.raises(ImageError, match="is not a regular file"):
        read_mha(tmp_path / "a.mha")


def test_a_header_that_claims_more_than_the_file_holds_costs_no_memory(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.mha", RGB, packed=True)
    path.write_bytes(path.read_bytes().replace(b"DimSize = 30 40 2", b"DimSize = 4000 4000 900"))
    with pytest.raises(ImageError, match=r"it claims 43,200,000,000 bytes of pixels"):
        read_mha(path)


def test_pixels_in_another_file_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "secret.raw").write_bytes(RGB.tobytes())
    whole = _write(tmp_path / "a.mha", RGB).read_bytes()
    header, _, _ = whole.partition(b"ElementDataFile")
    (tmp_path / "a.mha").write_bytes(header + b"ElementDataFile = secret.raw\n")
    with pytest.raises(ImageError, match="in another file"):
        read_mha(tmp_path / "a.mha")
