"""Hard negatives: normal figures that look atypical to the network are drawn more often.

After Shrivastava et al. 2016 (online hard example mining), adapted: hardness is a moving average
over epochs, so that one unlucky score does not decide, and figures with split votes are never
mined, so that label noise is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from atypia.training.section import Section

Floats = npt.NDArray[np.float64]


class HardNegativesSection(Section):
    """Normal figures that look atypical to the network are drawn more often."""

    oversampling: float = Field(1.0, ge=1, le=20, description="how many times as often; 1 is off")
    share: float = Field(
        0.2, gt=0, le=1, description="share of the unanimous normal figures that count as hard"
    )
    momentum: float = Field(
        0.5, ge=0, lt=1, description="momentum of the moving average of their scores"
    )


class HardNegatives:
    """How hard each normal training figure is, and how often it is therefore drawn.

    Attributes:
        rows: int64 (M,), the normal figures that are trained on.
        score: float64 (M,), moving average of P(atypical), NaN before the first update.
    """

    def __init__(
        self,
        section: HardNegativesSection,
        rows: npt.NDArray[np.int64],
        unanimous: npt.NDArray[np.bool_],
    ) -> None:
        """Begin without any score.

        Args:
            section: of the recipe.
            rows: int64 (M,), normal training figures.
            unanimous: bool (M,), which of them no expert calls atypical; only these are mined.
        """
        self._section = section
        self.rows = rows
        self._minable = unanimous
        self.score: Floats = np.full(len(rows), np.nan)

    def update(self, p: Floats) -> None:
        """Update the averages with the P(atypical) of `rows` after an epoch, float64 (M,)."""
        momentum = self._section.momentum
        self.score = np.where(
            np.isnan(self.score), p, momentum * self.score + (1 - momentum) * p
        ).astype(np.float64)

    @property
    def mined(self) -> npt.NDArray[np.int64]:
        """The mined figures, int64, hardest first: the top share of the unanimous."""
        minable = np.flatnonzero(self._minable & ~np.isnan(self.score))
        count = round(self._section.share * len(minable))
        hardest = minable[np.argsort(-self.score[minable], kind="stable")][:count]
        return np.asarray(self.rows[hardest], dtype=np.int64)

    def sharpen(self, weights: Floats, cells: npt.NDArray[np.int64]) -> Floats:
        """Raise the shares of mined figures at the cost of the others of their (domain, class).

        Args:
            weights: float64 (N,), the share of each figure in an epoch; 0 where not trained on.
            cells: int64 (N,), the (domain, class) of each figure.

        Returns:
            float64 (N,); every cell keeps its share.
        """
        raised = weights.copy()
        raised[self.mined] *= self._section.oversampling
        before, after = np.bincount(cells, weights), np.bincount(cells, raised)
        return np.asarray(raised * (before / np.where(after > 0, after, 1))[cells])

    def state(self) -> dict[str, Any]:
        """Return all of it, for a checkpoint."""
        return {"score": torch.from_numpy(self.score)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.score = state["score"].numpy()
