"""Light through stained tissue: the absorption law of Beer and Lambert for two stains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Stains:
    """What one unit of each stain absorbs of red, green and blue.

    Optical densities are to the base e and of unit length, as in Ruifrok and Johnston (2001,
    Anal. Quant. Cytol. Histol. 23: 291-299).

    Attributes:
        haematoxylin: three densities, the blue of chromatin.
        eosin: three densities, the pink of cytoplasm and collagen.
    """

    haematoxylin: tuple[float, float, float]
    eosin: tuple[float, float, float]

    def matrix(self) -> Floats:
        """Return float32 (2, 3): a row a stain (haematoxylin, eosin), each of length 1."""
        rows = np.array([self.haematoxylin, self.eosin], dtype=np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def transmit_light(haematoxylin: Floats, eosin: Floats, stains: Stains) -> Floats:
    """Return the share of light that passes: exp(-sum over stains of c_s * od_s).

    Ruifrok and Johnston (2001), eq. 1, to the base e.

    Args:
        haematoxylin: amounts, float32 (H, W), 0 or more.
        eosin: amounts, float32 (H, W), 0 or more.
        stains: what a unit of each absorbs.

    Returns:
        float32 (H, W, 3), red, green, blue, in (0, 1].
    """
    rows = stains.matrix()
    density = haematoxylin[..., None] * rows[0] + eosin[..., None] * rows[1]
    light: Floats = np.exp(-density)
    return light
