"""Batches: windows to crops on the device, augmented for training, plain for scoring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from atypia.data.table import FigureTable
from atypia.data.windows import Windows, decode_windows
from atypia.training.components.augment import (
    blur,
    compute_augmented_window_um,
    draw_moves,
    jitter_stain,
    recompress,
)
from atypia.training.crop_windows import crop_windows
from atypia.training.recipe import Recipe


def read_windows(
    table: FigureTable,
    recipe: Recipe,
    cache: Path | None = None,
    content: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Windows:
    """Decode the part of each figure's image that augmented crops may cover.

    Args:
        table: N figures.
        recipe: for the size of the crops and their augmentation.
        cache: folder that stores windows for later runs.
        content: with `cache`, the hash of each figure's image.
        progress: called with (done, total) from time to time.

    Raises:
        TableError: figures without a known mpp, or images that cannot be used; all are named.
    """
    crop_um = recipe.backbone.crop_um
    return decode_windows(
        table.image_paths(),
        table.frame["mpp"].to_numpy(dtype=np.float64),
        crop_um=crop_um,
        window_um=compute_augmented_window_um(recipe.augment, crop_um),
        cache=cache,
        content=content,
        progress=progress,
    )


@dataclass(frozen=True)
class Embeddings:
    """Outputs of a frozen backbone for N figures; they stand in for the figures' windows.

    Attributes:
        values: float32 (N, D).
    """

    values: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return those of some figures, float32 (B, D), copied."""
        return self.values[rows]


BatchSource = Windows | Embeddings
"""What batches are made from: embeddings where the backbone is frozen."""


def training_batch(
    source: BatchSource,
    rows: npt.NDArray[np.int64],
    recipe: Recipe,
    device: torch.device,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Return augmented crops of some figures, float32 (B, 3, P, P), or their embeddings, (B, D)."""
    if isinstance(source, Embeddings):
        return torch.from_numpy(source.batch(rows)).to(device)
    return augmented_crops(source.batch(rows), recipe, device, rng)


def plain_batch(
    source: BatchSource,
    rows: npt.NDArray[np.int64],
    recipe: Recipe,
    device: torch.device,
) -> torch.Tensor:
    """Return plain crops of some figures, float32 (B, 3, P, P), or their embeddings, (B, D)."""
    if isinstance(source, Embeddings):
        return torch.from_numpy(source.batch(rows)).to(device)
    return plain_crops(source.batch(rows), recipe, device)


def augmented_crops(
    batch: Windows, recipe: Recipe, device: torch.device, rng: np.random.Generator
) -> torch.Tensor:
    """Return augmented crops, float32 (B, 3, P, P) in [0, 1]; the windows are used up."""
    augment = recipe.augment
    recompress(batch.pixels, augment.jpeg, rng)
    moves = draw_moves(augment, recipe.backbone.crop_um, len(batch), rng)
    crops = _crops(batch, recipe, device, moves.to(device))
    crops = jitter_stain(crops, augment.stain, augment.brightness, rng)
    return blur(crops, augment.blur, rng)


def plain_crops(batch: Windows, recipe: Recipe, device: torch.device) -> torch.Tensor:
    """Return crops as prediction takes them, float32 (B, 3, P, P) in [0, 1]."""
    return _crops(batch, recipe, device, None)


def _crops(
    batch: Windows, recipe: Recipe, device: torch.device, moves: torch.Tensor | None
) -> torch.Tensor:
    pixels = torch.from_numpy(batch.pixels).to(device)
    return crop_windows(
        pixels.permute(0, 3, 1, 2).float().div_(255),
        torch.from_numpy(batch.size_px).to(device),
        torch.from_numpy(batch.mpp).to(device, torch.float32),
        crop_um=recipe.backbone.crop_um,
        input_px=recipe.backbone.input_px,
        moves=moves,
    )
