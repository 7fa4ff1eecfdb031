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
from PIL import Image

Crop = npt.NDArray[np.float32]

MPP = 0.5
"""um/px at which a crop is measured."""

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
    side = max(4, min(crop.shape[1], round(crop_um / MPP)))
    picture = Image.fromarray((crop.transpose(1, 2, 0) * 255).round().astype(np.uint8))
    small = np.asarray(picture.resize((side, side), Image.Resampling.BOX), np.float32) / 255
    density = -np.log10(np.clip(small, 1 / 255, 1))
    intensity: npt.NDArray[np.float32] = small.mean(axis=2)
    inner = intensity[1:-1, 1:-1]
    around = intensity[:-2, 1:-1] + intensity[2:, 1:-1] + intensity[1:-1, :-2] + intensity[1:-1, 2:]
    channels = density.mean(axis=(0, 1))
    return Measures(
        density=float(np.percentile(density.mean(axis=2), 95)),
        brightest=float(np.percentile(intensity, 95)),
        red=float(channels[0] / max(float(channels.sum()), 1e-6)),
        detail=float((4 * inner - around).std()),
    )


def find_fault(crop: Crop, crop_um: float) -> str:
    """Return why a crop is out of scope, one of `REASONS`; "" where it is in scope.

    Args:
        crop: float32 (3, P, P), RGB in [0, 1].
        crop_um: its side in tissue, um.
    """
    return BOUNDS.judge(measure(crop, crop_um))
