"""Whether a crop is one that a classifier of mitotic figures can be asked about.

A network answers for anything, glass and ink as well. Three measures of the crop, taken at 0.5 um
a pixel so that scans at 20x and 40x are alike, tell what is no tissue, hidden under ink or blurred.
Their bounds lie beyond what 5,001 figures of thirteen domains show, by a margin:
benchmarks/scope.py prints how many figures of a domain they refuse that they were set without, and
how much of what is out of scope they find. They do not tell a mitotic figure from its look-alikes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Crop = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.float32]

MPP = 0.5
"""um/px at which a crop is measured, about: it is made smaller by a whole number."""

_MEAN = np.full(3, 1 / 3, dtype=np.float32)  # of the channels

NO_TISSUE, INK, BLURRED = "no tissue", "ink", "out of focus"
REASONS = (NO_TISSUE, INK, BLURRED)


@dataclass(frozen=True)
class Measures:
    """What is measured of a crop.

    Attributes:
        density: optical density, -log10 of the transmitted share, mean of the three channels, of
            the densest twentieth: low where there is no tissue.
        brightest: intensity, in [0, 1], that a twentieth exceeds: low under ink.
        red: share of red in the optical density: haematoxylin and eosin absorb little of it, blue
            and green ink most.
        detail: standard deviation of the Laplacian of the intensity: low where nothing is sharp.
    """

    density: float
    brightest: float
    red: float
    detail: float


@dataclass(frozen=True)
class Bounds:
    """The least density, brightness and detail, and the highest share of red, of a figure."""

    density: float
    brightest: float
    red: float
    detail: float

    def judge(self, measured: Measures) -> str:
        """Return why a crop is out of scope, one of `REASONS`; "" where it is in scope."""
        if measured.density < self.density:
            return NO_TISSUE
        if measured.brightest < self.brightest or measured.red > self.red:
            return INK
        return BLURRED if measured.detail < self.detail else ""


BOUNDS = Bounds(density=0.2, brightest=0.4, red=0.37, detail=0.045)


def measure(crop: Crop, crop_um: float) -> Measures:
    """Measure a crop.

    Args:
        crop: float32 (3, P, P), RGB in [0, 1].
        crop_um: its side in tissue, um.
    """
    px = crop.shape[1]
    small = _shrink(crop, max(1, min(round(MPP * px / crop_um), px // 4)))
    density = -np.log10(np.clip(small, 1 / 255, 1))
    intensity = small @ _MEAN
    inner = intensity[1:-1, 1:-1]
    around = intensity[:-2, 1:-1] + intensity[2:, 1:-1] + intensity[1:-1, :-2] + intensity[1:-1, 2:]
    channels = density.reshape(-1, 3).sum(axis=0)
    return Measures(
        density=_twentieth(density @ _MEAN),
        brightest=_twentieth(intensity),
        red=float(channels[0] / max(float(channels.sum()), 1e-6)),
        detail=float((4 * inner - around).std()),
    )


def _shrink(crop: Crop, by: int) -> Pixels:
    """Return means of squares of `by` px, float32 (P // by, P // by, 3); the rest is cut off."""
    side = crop.shape[1] // by
    pixels = crop.transpose(1, 2, 0)[: side * by, : side * by]
    lines = pixels.reshape(side, by, -1)
    # Sums of few slices: numpy's means over short axes take three times as long.
    rows = sum((lines[:, at] for at in range(1, by)), start=lines[:, 0]).reshape(side, side, by, 3)
    summed = sum((rows[:, :, at] for at in range(1, by)), start=rows[:, :, 0])
    return summed / np.float32(by * by)


def _twentieth(values: Pixels) -> float:
    """Return the value that a twentieth exceeds."""
    at = round(0.95 * (values.size - 1))
    return float(np.partition(values, at, axis=None)[at])


def find_fault(crop: Crop, crop_um: float) -> str:
    """Return why a crop is out of scope, one of `REASONS`; "" where it is in scope.

    Args:
        crop: float32 (3, P, P), RGB in [0, 1].
        crop_um: its side in tissue, um.
    """
    return BOUNDS.judge(measure(crop, crop_um))
