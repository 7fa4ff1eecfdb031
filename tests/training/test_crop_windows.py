"""Crops hold the tissue they promise, at the size they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atypia.data.windows import cut_window, stack_windows
from atypia.training.crop_windows import crop_windows


def _crop(image: np.ndarray, mpp: float, crop_um: float, input_px: int) -> torch.Tensor:
    windows = stack_windows([cut_window(image, mpp, crop_um, crop_um)], np.array([mpp]))
    pixels = torch.from_numpy(windows.pixels).permute(0, 3, 1, 2).float() / 255
    return crop_windows(
        pixels,
        torch.from_numpy(windows.size_px),
        torch.from_numpy(windows.mpp),
        crop_um=crop_um,
        input_px=input_px,
    )[0]


def _disc(side: int, mpp: float, radius_um: float) -> np.ndarray:
    """A dark disc on white, centred, of a size in tissue."""
    at = (np.arange(side) + 0.5 - side / 2) * mpp
    inside = np.hypot(at[:, None], at[None, :]) < radius_um
    return np.repeat(np.where(inside, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_at_its_own_resolution_a_crop_is_the_centre_to_the_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    crop = _crop(image, 0.25, 8.0, 32)
    expected = torch.from_numpy(image[16:48, 16:48]).permute(2, 0, 1).float() / 255
    torch.testing.assert_close(crop, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("mpp", "side"), [(0.23, 128), (0.25, 128), (0.25, 127), (0.5, 80)])
def test_tissue_has_the_same_size_whatever_the_scanner(mpp: float, side: int) -> None:
    disc = _disc(side, mpp, 4.0)
    crop = _crop(disc, mpp, 16.0, 160)
    area_um2 = float((1 - crop[0]).sum()) * (16.0 / 160) ** 2
    assert area_um2 == pytest.approx(float((disc[..., 0] == 0).sum()) * mpp**2, rel=0.01)
    weight = 1 - crop[0]
    at = torch.arange(160) + 0.5
    assert float((weight.sum(0) * at).sum() / weight.sum()) == pytest.approx(80, abs=0.3)
    assert float((weight.sum(1) * at).sum() / weight.sum()) == pytest.approx(80, abs=0.3)


def test_making_smaller_does_not_alias() -> None:
    stripes = np.zeros((256, 256, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    crop = _crop(stripes, 0.1, 20.0, 32)
    assert float(crop.std()) < 0.05
    assert float(crop.mean()) == pytest.approx(0.5, abs=0.03)


def test_windows_of_several_sizes_share_a_batch() -> None:
    images = [_disc(250, 0.1, 4.0), _disc(128, 0.25, 4.0), _disc(90, 0.5, 4.0)]
    mpp = np.array([0.1, 0.25, 0.5])
    cuts = [cut_window(i, m, 16.0, 24.0) for i, m in zip(images, mpp, strict=True)]
    windows = stack_windows(cuts, mpp)
    crops = crop_windows(
        torch.from_numpy(windows.pixels).permute(0, 3, 1, 2).float() / 255,
        torch.from_numpy(windows.size_px),
        torch.from_numpy(mpp),
        crop_um=16.0,
        input_px=64,
    )
    for crop, image, one in zip(crops, images, mpp, strict=True):
        torch.testing.assert_close(crop, _crop(image, one, 16.0, 64), atol=1e-4, rtol=0)
