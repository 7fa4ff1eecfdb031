"""Crops at a physical size, for prediction: what `crops.py` gives without moves, faster.

Without rotation, rows and columns are resampled apart: each by a matrix with few entries in a row,
two for bilinear sampling and some more where the crop is blurred first. It depends on sizes only,
so figures of one size share it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Line = npt.NDArray[np.float32]

# Bilinear sampling alone is good enough for crops made smaller by less than this factor.
_ALIASES_FROM = 1.25


def plain_crop(
    window: npt.NDArray[np.uint8],
    mpp: float,
    *,
    crop_um: float,
    input_px: int,
    finest_mpp: float = 0.0,
) -> npt.NDArray[np.float32]:
    """Take the central crop from a window, by one bilinear resampling.

    A crop that is enlarged is as sharp as its window: where training has seen no window this sharp,
    it is first blurred to the resolution of `finest_mpp`.

    Args:
        window: uint8 (h, w, 3) RGB; wider than the crop by 2 px or more.
        mpp: um/px of the window.
        crop_um: side of the crop, in um.
        input_px: side of the crop, in px.
        finest_mpp: um/px of the sharpest windows that training has seen.

    Returns:
        float32 (3, input_px, input_px), RGB in [0, 1]; a view of (input_px, input_px, 3).
    """
    high, wide = window.shape[:2]
    columns = window.transpose(1, 2, 0).astype(np.float32, order="C").reshape(wide, 3 * high)
    resampled = _resampling(wide, mpp, crop_um, input_px, finest_mpp).apply(columns)
    rows = np.ascontiguousarray(resampled.reshape(input_px * 3, high).T)
    crop = _resampling(high, mpp, crop_um, input_px, finest_mpp).apply(rows)
    crop *= np.float32(1 / 255)
    pixels: npt.NDArray[np.float32] = crop.reshape(input_px, input_px, 3).transpose(2, 0, 1)
    return pixels


def blur_kernel(shrink: float) -> Line | None:
    """Return the blur before crops are made smaller, as bilinear sampling alone would alias.

    Args:
        shrink: px of the window for a px of the crop, or of the resolution that it shall have.

    Returns:
        float32 (2 r + 1,), a Gaussian of sum 1; none where no blur is needed.
    """
    if shrink <= _ALIASES_FROM:
        return None
    sigma = 0.5 * (shrink**2 - 1) ** 0.5
    radius = max(1, round(3 * sigma))
    line = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    normed: Line = (line / line.sum()).astype(np.float32)
    return normed


class _Resampling(NamedTuple):
    """A matrix with K entries in a row, the others zero.

    Attributes:
        columns: int64 (K, input_px), of the entries.
        weights: float32 (K, input_px, 1), the entries.
    """

    columns: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]

    def apply(self, lines: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Multiply by float32 (side, N); returns (input_px, N)."""
        product: npt.NDArray[np.float32] = lines[self.columns[0]] * self.weights[0]
        for columns, weights in zip(self.columns[1:], self.weights[1:], strict=True):
            product += lines[columns] * weights
        return product


@lru_cache(maxsize=64)
def _resampling(
    side: int, mpp: float, crop_um: float, input_px: int, finest_mpp: float
) -> _Resampling:
    """Return what makes of a column of a window that of a crop, (input_px, side)."""
    step = crop_um / (mpp * input_px)
    at = (side - 1) / 2 + (np.arange(input_px) + 0.5 - input_px / 2) * step
    low = np.floor(at).astype(np.int64)
    rows = np.arange(input_px)
    bilinear = np.zeros((input_px, side))
    bilinear[rows, low] = low + 1 - at
    bilinear[rows, low + 1] = at - low
    # Training keeps mpp in float32: on the brink of blurring both must say the same.
    line = blur_kernel(max(crop_um / input_px, finest_mpp) / float(np.float32(mpp)))
    if line is None:
        return _sparse(bilinear)
    radius, px = len(line) // 2, np.arange(side)
    blur = np.zeros((side, side))
    for offset, weight in zip(range(-radius, radius + 1), line, strict=True):
        # Beyond the border, its pixel is repeated.
        np.add.at(blur, (px, np.clip(px + offset, 0, side - 1)), weight)
    return _sparse(bilinear @ blur)


def _sparse(matrix: npt.NDArray[np.float64]) -> _Resampling:
    most = int((matrix != 0).sum(axis=1).max())
    columns = np.sort(np.argsort(matrix == 0, axis=1, kind="stable")[:, :most], axis=1)
    weights = np.take_along_axis(matrix, columns, axis=1).astype(np.float32)
    return _Resampling(np.ascontiguousarray(columns.T), np.ascontiguousarray(weights.T)[:, :, None])
