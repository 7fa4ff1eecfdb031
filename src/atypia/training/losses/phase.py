"""Loss of the phase head on the experts' phase labels."""

from __future__ import annotations

import torch


def phase_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy with soft targets, a scalar.

    Args:
        logits: float32 (B, phases).
        target: float32 (B, phases), shares of the labels given; all 0 where none is given, and
            such a figure adds nothing.
    """
    return -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()
