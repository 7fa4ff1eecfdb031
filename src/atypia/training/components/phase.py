"""The phase head: an auxiliary loss on the experts' phase labels."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from atypia.training.components.base import (
    Labels,
    Lack,
    LossComponent,
    Material,
    Outputs,
)


class PhaseSection(LossComponent):
    """Auxiliary head on the experts' phase labels; every prediction includes its phase.

    The head belongs to the classifier, since a bundle keeps it.
    """

    def compute_loss(self, outputs: Outputs, labels: Labels) -> torch.Tensor:
        """Return the mean cross-entropy with soft targets."""
        assert outputs.phase is not None
        return phase_loss(outputs.phase, labels.phase)

    def find_lack(self, material: Material) -> Lack | None:
        """Return that no figure has a phase; None where one has."""
        if not self.weight or material.figures.phase[material.rows].any():
            return None
        return Lack(
            "no training figure has a phase", "fill the column phase (or phase_1 and phase_2)"
        )


def phase_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy with soft targets, a scalar.

    Args:
        logits: float32 (B, phases).
        target: float32 (B, phases), shares of a figure's phase labels; a figure without any has
            all 0 and adds nothing.
    """
    return F.cross_entropy(logits, target)
