"""Batches are made of windows as prediction sees them, or augmented, or of embeddings."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from atypia.data.plain_crops import plain_crop
from atypia.data.table import FigureTable
from atypia.training.batches import (
    Embeddings,
    plain_batch,
    read_windows,
    training_batch,
)
from small_training import small_recipe

CPU = torch.device("cpu")


def test_plain_crops_are_those_of_prediction(table: FigureTable) -> None:
    recipe, rows = small_recipe("plain"), np.arange(12)
    batch = plain_batch(read_windows(table, recipe), rows, recipe, CPU)
    for row, crop in zip(rows, batch, strict=True):
        with Image.open(table.image_paths()[row]) as image:
            pixels = np.asarray(image.convert("RGB"))
        expected = plain_crop(
            pixels, float(table.frame["mpp"][row]), crop_um=recipe.backbone.crop_um, input_px=32
        )
        np.testing.assert_allclose(crop.numpy(), expected, atol=2e-3)


def test_augmented_crops_repeat_by_seed_and_leave_the_windows_as_they_were(
    table: FigureTable,
) -> None:
    recipe, rows = small_recipe("plain", "augment.jpeg=1", "augment.blur=1"), np.arange(12)
    windows = read_windows(table, recipe)
    plain = plain_batch(windows, rows, recipe, CPU)
    first, again, other = (
        training_batch(windows, rows, recipe, CPU, np.random.default_rng(seed))
        for seed in (0, 0, 1)
    )
    assert first.shape == (12, 3, 32, 32) and first.dtype == torch.float32
    assert float(first.min()) >= 0 and float(first.max()) <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(plain_batch(windows, rows, recipe, CPU), plain)


def test_embeddings_are_neither_augmented_nor_handed_out_to_be_changed() -> None:
    source = Embeddings(np.arange(12, dtype=np.float32).reshape(4, 3))
    recipe, rows = small_recipe("plain"), np.array([2, 0])
    batch = training_batch(source, rows, recipe, CPU, np.random.default_rng(0))
    assert torch.equal(batch, plain_batch(source, rows, recipe, CPU))
    np.testing.assert_array_equal(batch.numpy(), source.values[rows])
    batch.zero_()
    assert source.values[2].any()
