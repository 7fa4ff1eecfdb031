"""MixUp (Zhang et al. 2018, eq. 1): crops and targets of a batch, interpolated in pairs."""

from __future__ import annotations

import numpy as np
import torch


def mixup(
    crops: torch.Tensor, target: torch.Tensor, alpha: float, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Interpolate each figure of a batch with another one, with one weight for the whole batch.

    Args:
        crops: float32 (B, 3, P, P).
        target: float32 (B,), in [0, 1].
        alpha: the weight is drawn from Beta(alpha, alpha); 0 changes nothing.
        rng: where the draws come from.

    Returns:
        Mixed crops (B, 3, P, P) and mixed targets (B,).
    """
    if alpha == 0:
        return crops, target
    weight = float(rng.beta(alpha, alpha))
    other = torch.from_numpy(rng.permutation(len(target))).to(crops.device)
    return torch.lerp(crops[other], crops, weight), torch.lerp(target[other], target, weight)
