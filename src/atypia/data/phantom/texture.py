"""Random fields: the grain of cytoplasm, chromatin and fibres, drawn once and cut from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TextureBank:
    """Periodic random fields at one resolution, each float32 (S, S), mean 0, deviation 1.

    Attributes:
        fine: grain of about 0.3 um.
        medium: blotches of about 0.9 um.
        coarse: regions of about 5 um.
        fibres: streaks of about 0.35 by 5 um, along the rows.
    """

    fine: Floats
    medium: Floats
    coarse: Floats
    fibres: Floats

    def cut(self, rng: np.random.Generator, name: str, size_px: int) -> Floats:
        """Return a window, float32 (size_px, size_px), at a place and in an attitude by chance."""
        field: Floats = getattr(self, name)
        top, left, attitude = rng.integers((field.shape[0] - size_px,) * 2 + (8,))
        window = field[top : top + size_px, left : left + size_px]
        if attitude & 1:
            window = window[::-1]
        if attitude & 2:
            window = window[:, ::-1]
        return window.T if attitude & 4 else window

    def cut_fibres(self, rng: np.random.Generator, size_px: int, waviness: Floats) -> Floats:
        """Return streaks in a direction by chance, float32 (size_px, size_px).

        Args:
            rng: source of chance.
            size_px: side of the window.
            waviness: px that the streaks are moved aside at each place, float32 (S, S).
        """
        side = self.fibres.shape[0]
        angle = rng.uniform(0, np.pi)
        along, aside = rng.uniform(0, side, 2)
        place = np.arange(size_px, dtype=np.float32)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        columns = cos * place[None, :] + sin * place[:, None] + np.float32(along)
        rows = cos * place[:, None] - sin * place[None, :] + np.float32(aside) + waviness
        window: Floats = self.fibres[rows.astype(np.int32) % side, columns.astype(np.int32) % side]
        return window


def draw_textures(rng: np.random.Generator, mpp: float, size_px: int) -> TextureBank:
    """Draw the fields for crops of `size_px` at `mpp` (um/px)."""
    side = max(512, 2 * size_px)
    return TextureBank(
        fine=_smooth_field(rng, side, 0.3 / mpp, 0.3 / mpp),
        medium=_smooth_field(rng, side, 0.9 / mpp, 0.9 / mpp),
        coarse=_smooth_field(rng, side, 5.0 / mpp, 5.0 / mpp),
        fibres=_smooth_field(rng, side, 0.35 / mpp, 5.0 / mpp),
    )


def _smooth_field(
    rng: np.random.Generator, side: int, sigma_rows_px: float, sigma_columns_px: float
) -> Floats:
    """White noise through a Gaussian whose deviations are given in px; periodic."""
    rows = np.fft.fftfreq(side)[:, None]
    columns = np.fft.rfftfreq(side)[None, :]
    gain = np.exp(-2 * np.pi**2 * ((rows * sigma_rows_px) ** 2 + (columns * sigma_columns_px) ** 2))
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * gain, (side, side))
    field = (field - field.mean()) / field.std()
    return np.asarray(field, dtype=np.float32)
