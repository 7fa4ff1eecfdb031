"""Batches: windows to crops on the device, augmented for training, plain for scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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
from atypia.training.components.base import Rows
from atypia.training.crop_windows import View, crop_windows
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


def training_views(
    source: BatchSource,
    rows: npt.NDArray[np.int64],
    recipe: Recipe,
    device: torch.device,
    rng: np.random.Generator,
    others: Sequence[View],
) -> list[torch.Tensor]:
    """Return what `training_batch` does, and the same crops as other networks see them.

    Args:
        source: windows; embeddings where there are no others.
        rows: int64 (B,), the figures.
        recipe: for the augmentation.
        device: receives the crops.
        rng: of the draws; it ends where `training_batch` leaves it.
        others: how the other networks see a figure.

    Returns:
        float32 (B, 3, P, P) each, in [0, 1].
    """
    if not others:
        return [training_batch(source, rows, recipe, device, rng)]
    assert isinstance(source, Windows)
    own = View(recipe.backbone.crop_um, recipe.backbone.input_px)
    return _augmented_views(source.batch(rows), recipe, device, rng, [own, *others])


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
    own = View(recipe.backbone.crop_um, recipe.backbone.input_px)
    return _augmented_views(batch, recipe, device, rng, [own])[0]


def plain_crops(batch: Windows, recipe: Recipe, device: torch.device) -> torch.Tensor:
    """Return crops as prediction takes them, float32 (B, 3, P, P) in [0, 1]."""
    return _crops(batch, View(recipe.backbone.crop_um, recipe.backbone.input_px), device, None)


def _augmented_views(
    batch: Windows,
    recipe: Recipe,
    device: torch.device,
    rng: np.random.Generator,
    views: Sequence[View],
) -> list[torch.Tensor]:
    """Return the same augmentation as each view shows it; the first one is the recipe's."""
    augment, own = recipe.augment, views[0]
    recompress(batch.pixels, augment.jpeg, rng)
    moves = draw_moves(augment, own.crop_um, len(batch), rng).to(device)
    drawn = rng.bit_generator.state
    looks = []
    for view in views:
        rng.bit_generator.state = drawn
        shown = moves.clone()
        shown[:, :, 2] *= own.crop_um / view.crop_um  # a shift is in units of half a crop
        crops = _crops(batch, view, device, shown)
        crops = jitter_stain(crops, augment.stain, augment.brightness, rng)
        finer = (view.input_px / view.crop_um) / (own.input_px / own.crop_um)
        looks.append(blur(crops, augment.blur, rng, finer))
    return looks


def _crops(
    batch: Windows, view: View, device: torch.device, moves: torch.Tensor | None
) -> torch.Tensor:
    pixels = torch.from_numpy(batch.pixels).to(device)
    return crop_windows(
        pixels.permute(0, 3, 1, 2).float().div_(255),
        torch.from_numpy(batch.size_px).to(device),
        torch.from_numpy(batch.mpp).to(device, torch.float32),
        crop_um=view.crop_um,
        input_px=view.input_px,
        moves=moves,
    )


class Batch(NamedTuple):
    """The crops of a step, and their labels.

    Attributes:
        crops: float32 (B, 3, P, P), mixed where `mixup` is on; first those that only teachers
            label, if there are any, then those of the R figures.
        target: float32 (B,), in [0, 1], mixed likewise.
        weight: float32 (B,), of each figure in the class loss, mixed likewise.
        phase: float32 (B, phases), mixed likewise.
        offset: float32 (B,), added to the logit in the class loss (`prior_offsets`); mixed.
        rows: int64 (R,), the figures.
        unmixed: float32 (A, 3, P, P), crops for the losses that take unmixed crops only.
        unmixed_rows: int64 (L,), the figures of the first L of these.
        unlabelled: int64 (A - L,), the domains of the others.
        is_unmixed: whether these losses take `crops`, too.
    """

    crops: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    phase: torch.Tensor
    offset: torch.Tensor
    rows: Rows
    unmixed: torch.Tensor
    unmixed_rows: Rows
    unlabelled: Rows
    is_unmixed: bool

    def pieces(self, count: int) -> Iterator[Batch]:
        """Yield it in pieces, each with its share of every kind."""
        if count == 1:
            yield self
            return
        labelled, taught = len(self.unmixed_rows), len(self.crops) - len(self.rows)
        for first in range(min(count, len(self.rows))):
            own = slice(first, None, count)
            crops, target, weight, phase, offset = (
                torch.cat([values[:taught][own], values[taught:][own]])
                for values in (self.crops, self.target, self.weight, self.phase, self.offset)
            )
            yield Batch(
                crops=crops,
                target=target,
                weight=weight,
                phase=phase,
                offset=offset,
                rows=self.rows[own],
                unmixed=torch.cat([self.unmixed[:labelled][own], self.unmixed[labelled:][own]]),
                unmixed_rows=self.unmixed_rows[own],
                unlabelled=self.unlabelled[own],
                is_unmixed=self.is_unmixed,
            )
