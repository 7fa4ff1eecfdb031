"""Crops as the network is shown them, read ahead a few at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from atypia.data.windows import cut_window, stack_windows
from atypia.inference.crops import CropSpec, make_crop, read_ahead
from atypia.inference.sources import Figure
from atypia.training.crop_windows import crop_windows


@pytest.mark.parametrize("mpp", [0.05, 0.12, 0.16, 0.23, 0.25, 0.5])
@pytest.mark.parametrize("shape", [(40, 40), (40, 41), (41, 40), (63, 37), (200, 201)])
def test_the_crop_is_that_of_training(shape: tuple[int, int], mpp: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    crop_um = min(8.0, min(shape) * mpp / 0.8)  # an image may be somewhat smaller than the crop
    wide = cut_window(image, mpp, crop_um, 1.6 * crop_um)  # room for moves
    windows = stack_windows([wide, np.zeros_like(wide)], np.array([mpp, mpp]))
    pixels = torch.from_numpy(windows.pixels).permute(0, 3, 1, 2).float() / 255
    size, mpps = torch.from_numpy(windows.size_px), torch.from_numpy(windows.mpp)
    trained = crop_windows(pixels, size, mpps, crop_um=crop_um, input_px=32)[0].numpy()
    found = make_crop(image, mpp, CropSpec(crop_um, 32, 0.25, mpp))
    assert found.shape == (3, 32, 32)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, trained, rtol=0, atol=2e-4)


def test_what_is_finer_than_training_is_made_as_coarse() -> None:
    """Stripes that training's resolution cannot show vanish; without that, they are enlarged."""
    image = np.zeros((160, 160, 3), dtype=np.uint8)
    image[:, ::2] = 255
    sharp, known, twice = (
        make_crop(image, 0.125, CropSpec(16.0, 128, 0.25, finest)) for finest in (0.0, 0.125, 0.25)
    )
    np.testing.assert_array_equal(sharp, known)
    assert sharp.std() > 0.4
    assert twice.std() < 0.1
    assert twice.mean() == pytest.approx(0.5, abs=0.02)


def test_memory_stays_flat(make_figure: Callable[..., Figure], paths: list[Path]) -> None:
    taken, given = 0, 0
    most = 0
    lock = threading.Lock()

    def endless() -> Iterator[Figure]:
        nonlocal taken
        for _ in range(200):
            with lock:
                taken += 1
            yield make_figure(paths[0])

    for _ in read_ahead(endless(), CropSpec(8.0, 32, 0.25, 0.2), threads=2, ahead=8):
        given += 1
        most = max(most, taken - given)
    assert given == 200
    assert most <= 8
