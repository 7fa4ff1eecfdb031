"""The phase head: an auxiliary loss on the experts' phase labels."""

from __future__ import annotations

import torch

from atypia.training.components.base import (
    Answers,
    Labels,
    Lack,
    LossComponent,
    Material,
)


class PhaseSection(LossComponent):
    """Auxiliary head on the experts' phase labels, shown with every prediction.

    The head is the classifier's own, since a bundle keeps it.
    """

    def loss(self, answers: Answers, labels: Labels) -> torch.Tensor:
        """Return the mean cross-entropy with soft targets."""
        assert answers.phase is not None
        return phase_loss(answers.phase, labels.phase)

    def lack(self, material: Material) -> Lack | None:
        """Return that no figure has a phase, None where one has."""
        if not self.weight or material.figures.phase[material.rows].any():
            return None
        return Lack(
            "no figure to train on has a phase", "fill the column phase (or phase_1 and phase_2)"
        )


def phase_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy with soft targets, a scalar.

    Args:
        logits: float32 (B, phases).
        target: float32 (B, phases), shares of the labels given; all 0 where none is given, and
            such a figure adds nothing.
    """
    return -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()
