"""Focal loss for soft targets (Li et al. 2020, Generalized Focal Loss, eq. 5), and its inverse."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F


def focal_loss(
    logit: torch.Tensor, target: torch.Tensor, gamma: float | torch.Tensor
) -> torch.Tensor:
    """Return |y - p|^gamma * BCE(p, y) of each figure, p = sigmoid(logit).

    With hard targets this is Lin et al. 2017, eq. 4; with gamma 0 it is the cross-entropy. Below 0
    it is the inverse focal loss, (2 - |y - p|)^-gamma * BCE(p, y), which with hard targets is
    Wang et al. 2021 (Rethinking Calibration of Deep Neural Networks) as AdaFocal takes it (Ghosh
    et al. 2022, sec. 4.2): figures that are nearly right count more.

    Args:
        logit: floating (B,), any size; computed in float32.
        target: floating (B,), in [0, 1].
        gamma: one for all, or floating (B,), one a figure; above 0 what is nearly right is passed
            over, below 0 it counts more.

    Returns:
        float32 (B,), not reduced.
    """
    logit, target = logit.float(), target.float()
    entropy = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
    if isinstance(gamma, float) and gamma == 0:
        return entropy
    exponent = torch.as_tensor(gamma, dtype=torch.float32, device=logit.device)
    # The gradient of d^gamma has a pole at d = 0 where gamma < 1.
    distance = (target - logit.sigmoid()).abs().clamp_min(1e-6)
    factor = torch.where(
        exponent >= 0,
        distance.pow(exponent.clamp_min(0)),
        (2 - distance).pow((-exponent).clamp_min(0)),
    )
    return factor * entropy


def class_weights(
    cells: npt.NDArray[np.int64], shares: npt.NDArray[np.float64], beta: float
) -> npt.NDArray[np.float32]:
    """Weigh figures by the effective number of their cell (Cui et al. 2019, eq. 2 and 3).

    A cell's number is that of its figures in an epoch, so that what `sampling` has balanced is not
    balanced once more: both together would leave one seventh of the loss to normal figures.

    Args:
        cells: int64 (N,), the (domain, class) of each figure.
        shares: float64 (N,), of each figure in an epoch of N draws, of sum 1.
        beta: in [0, 1); 0 weighs all alike, near 1 a cell counts as much as any other.

    Returns:
        float32 (N,), of mean 1 over the draws of an epoch: (1 - beta) / (1 - beta^n) of a cell of
        n figures, normalised.
    """
    if not beta:
        return np.ones(len(cells), dtype=np.float32)
    codes = np.unique(cells, return_inverse=True)[1]
    counts = np.bincount(codes, shares) * len(cells)
    # beta^n through expm1: near 1 the plain difference loses its digits.
    weights = (1 / -np.expm1(counts * np.log(beta)))[codes]
    return np.asarray(weights / (weights * shares).sum(), dtype=np.float32)
