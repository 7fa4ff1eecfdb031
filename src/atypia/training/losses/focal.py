"""Focal loss for soft targets (Li et al. 2020, Generalized Focal Loss, eq. 5)."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def focal_loss(logit: torch.Tensor, target: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return |y - p|^gamma * BCE(p, y) of each figure, p = sigmoid(logit).

    With hard targets this is Lin et al. 2017, eq. 4; with gamma 0 it is the cross-entropy.

    Args:
        logit: floating (B,), any size; computed in float32.
        target: floating (B,), in [0, 1].
        gamma: how much a figure that is nearly right is passed over, at least 0.

    Returns:
        float32 (B,), not reduced.
    """
    logit, target = logit.float(), target.float()
    entropy = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
    if gamma == 0:
        return entropy
    # The gradient of d^gamma has a pole at d = 0 where gamma < 1.
    distance = (target - logit.sigmoid()).abs().clamp_min(1e-6)
    return distance.pow(gamma) * entropy
