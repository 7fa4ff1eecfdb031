"""Loss of the domain head, and how its reversal sets in."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F


def domain_loss(logits: torch.Tensor, domain: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of the domains, a scalar.

    Args:
        logits: float32 (B, domains), of unmixed crops.
        domain: int64 (B,), in [0, domains).
    """
    return F.cross_entropy(logits, domain)


def reversal_strength(done: float) -> float:
    """Return the strength of the gradient reversal (Ganin et al. 2016, sec. 5.2.2).

    Args:
        done: share of the training that is done, in [0, 1].

    Returns:
        In [0, 1): 2 / (1 + exp(-10 done)) - 1, so that the early, noisy domain head does no harm.
    """
    return 2 / (1 + math.exp(-10 * done)) - 1
