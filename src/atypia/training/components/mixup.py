"""MixUp (Zhang et al. 2018, eq. 1): crops and targets of a batch, interpolated in pairs."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field

from atypia.training.section import Section


class MixupSection(Section):
    """MixUp: interpolate crops and targets in pairs (Zhang et al. 2018)."""

    alpha: float = Field(0.2, ge=0, le=10, description="lambda ~ Beta(alpha, alpha); 0 is off")


def mixup(
    alpha: float, rng: np.random.Generator, *values: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Interpolate each figure of a batch with another one; one weight for the whole batch.

    Args:
        alpha: the weight is drawn from Beta(alpha, alpha); 0 changes nothing.
        rng: of the draws.
        values: floating (B, ...) each, on one device: crops, targets, weights.

    Returns:
        The values, mixed alike.
    """
    if alpha == 0:
        return values
    weight = float(rng.beta(alpha, alpha))
    other = torch.from_numpy(rng.permutation(len(values[0]))).to(values[0].device)
    return tuple(torch.lerp(value[other], value, weight) for value in values)
