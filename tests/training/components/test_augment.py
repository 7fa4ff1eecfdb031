"""Augmentation stays within its bounds, keeps what it must, and repeats."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atypia.training.components.augment import (
    AugmentSection,
    blur,
    compute_augmented_window_um,
    draw_moves,
    jitter_stain,
    recompress,
)
from atypia.training.crop_windows import crop_windows

PLAIN = AugmentSection(rotate=False, scale=0, shift_um=0, stain=0, brightness=0, blur=0, jpeg=0)


def test_no_crop_leaves_its_window() -> None:
    augment = AugmentSection(scale=0.3, shift_um=2.0)
    moves = draw_moves(augment, 16.0, 500, np.random.default_rng(0))
    corners = torch.tensor([[-1.0, -1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, 1]]).T
    reach_um = float((moves @ corners).abs().max()) * 16.0 / 2
    assert reach_um <= compute_augmented_window_um(augment, 16.0) / 2 + 1e-4
    assert reach_um > 0.8 * compute_augmented_window_um(augment, 16.0) / 2


def test_without_rotation_the_eight_symmetries_of_the_square_remain() -> None:
    image = torch.rand(1, 3, 32, 32).expand(200, 3, 32, 32)
    moves = draw_moves(PLAIN, 8.0, 200, np.random.default_rng(0))
    crops = crop_windows(
        image,
        torch.full((200, 2), 32),
        torch.full((200,), 0.25),
        crop_um=8.0,
        input_px=32,
        moves=moves,
    )
    views = {tuple((crop * 1000).round().flatten().tolist()) for crop in crops}
    turned = [torch.rot90(image[0], k, (1, 2)) for k in range(4)]
    expected = {
        tuple((view * 1000).round().flatten().tolist())
        for side in turned
        for view in (side, side.flip(2))
    }
    assert views == expected


def test_stain_jitter_moves_colours_and_keeps_white_white() -> None:
    rng = np.random.default_rng(0)
    pink = torch.tensor([0.8, 0.5, 0.7]).view(1, 3, 1, 1).expand(64, 3, 4, 4)
    moved = jitter_stain(pink, 0.3, 0.0, rng)
    assert float((moved - pink).abs().amax(dim=(1, 2, 3)).min()) > 0
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    white = torch.ones(64, 3, 4, 4)
    torch.testing.assert_close(jitter_stain(white, 0.3, 0.0, rng), white)


def test_stain_jitter_off_changes_nothing() -> None:
    crops = torch.rand(4, 3, 8, 8)
    assert jitter_stain(crops, 0.0, 0.0, np.random.default_rng(0)) is crops


def test_mean_strength_of_the_stain_does_not_drift() -> None:
    crops = torch.full((4000, 3, 1, 1), 0.5)
    moved = jitter_stain(crops, 0.3, 0.1, np.random.default_rng(0))
    assert float(-moved.log().mean()) == pytest.approx(float(-torch.tensor(0.5).log()), rel=0.02)


def test_blur_smooths_the_chosen_share_and_leaves_the_rest() -> None:
    crops = torch.rand(200, 3, 16, 16)
    blurred = blur(crops.clone(), 0.3, np.random.default_rng(0))
    changed = (blurred != crops).flatten(1).any(dim=1)
    assert 0.2 < float(changed.float().mean()) < 0.4
    assert float(blurred[changed].std()) < float(crops[changed].std())


def test_recompression_changes_the_chosen_share_a_little() -> None:
    rng = np.random.default_rng(0)
    smooth = np.tile(np.linspace(60, 200, 32, dtype=np.uint8)[None, :, None], (100, 32, 1, 3))
    noisy = np.clip(smooth + rng.integers(-20, 20, smooth.shape), 0, 255).astype(np.uint8)
    again = recompress(noisy.copy(), 0.5, rng)
    changed = (again != noisy).any(axis=(1, 2, 3))
    assert 0.35 < changed.mean() < 0.65
    assert np.abs(again[changed].astype(int) - noisy[changed]).mean() < 30
