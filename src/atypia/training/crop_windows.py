"""Crops at a physical size, for training: windows resampled once, in batches.

A *crop* is what a network sees: `crop_um` of tissue in `input_px` pixels, taken from a window by
one bilinear resampling. Training adds rotation, scale and shift to that same resampling, so pixels
are never interpolated twice; without these, `plain_crops.py` gives the same crops faster.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

from atypia.data.plain_crops import Line, blur_kernel


class View(NamedTuple):
    """How a network sees a figure.

    Attributes:
        crop_um: side of its crops, in um.
        input_px: side of its crops, in px.
    """

    crop_um: float
    input_px: int


def crop_windows(
    pixels: torch.Tensor,
    size_px: torch.Tensor,
    mpp: torch.Tensor,
    *,
    crop_um: float,
    input_px: int,
    moves: torch.Tensor | None = None,
) -> torch.Tensor:
    """Take crops from windows, by one bilinear resampling.

    Args:
        pixels: float32 (B, 3, S, S), RGB in [0, 1].
        size_px: (B, 2), height and width of each window inside S x S, in px.
        mpp: (B,), um/px of each window.
        crop_um: side of a crop, in um.
        input_px: side of a crop, in px.
        moves: float32 (B, 2, 3), for each crop the affine map from crop to window coordinates,
            both centred, in units of half a crop; None is the identity.

    Returns:
        float32 (B, 3, input_px, input_px), RGB in [0, 1].
    """
    batch, side = pixels.shape[0], pixels.shape[-1]
    if moves is None:
        moves = torch.eye(2, 3, device=pixels.device).expand(batch, 2, 3)
    mpp = mpp.to(pixels.device, torch.float32)
    half_px = crop_um / (2 * mpp)
    # grid_sample's coordinates run from -1 to 1 over the S px of the padded window.
    scale = (half_px * 2 / side).view(batch, 1, 1)
    centre = size_px.to(pixels.device, torch.float32).flip(1) / side - 1
    theta = moves * scale
    theta = torch.cat([theta[..., :2], theta[..., 2:] + centre.unsqueeze(-1)], dim=-1)
    grid = F.affine_grid(theta, [batch, 3, input_px, input_px], align_corners=False)
    # Each resolution has its own blur: a crop must not depend on the rest of its batch.
    for resolution in torch.unique(mpp):
        line = blur_kernel(crop_um / (float(resolution) * input_px))
        if line is not None:
            rows = mpp == resolution
            pixels = pixels.index_put((rows,), _blur(pixels[rows], line))
    return F.grid_sample(
        pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _blur(pixels: torch.Tensor, line: Line) -> torch.Tensor:
    """Blur along rows and columns, before crops are made smaller."""
    radius = len(line) // 2
    kernel = torch.from_numpy(line).to(pixels).expand(3, 1, -1)
    padded = F.pad(pixels, (radius,) * 4, mode="replicate")
    blurred = F.conv2d(padded, kernel.unsqueeze(2), groups=3)
    return F.conv2d(blurred, kernel.unsqueeze(3), groups=3)
