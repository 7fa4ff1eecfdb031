"""Focal loss for soft targets (Li et al. 2020, Generalized Focal Loss, eq. 5), and its inverse."""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch.nn import functional as F

from atypia.training.components.base import Component, Lack, Material, Rows


class FocalSection(Component):
    """The focal loss for soft targets, and its adaptive part (AdaFocal, Ghosh et al. 2022)."""

    switch: ClassVar[str] = "adaptive"
    off: ClassVar[float | bool] = False

    gamma: float = Field(0.0, ge=0, le=10, description="|y - p|^gamma; 0 is cross-entropy")
    adaptive: bool = Field(False, description="gamma follows the calibration of confidence bins")
    bins: int = Field(
        5, ge=2, le=50, description="adaptive: number of confidence bins, of equal counts"
    )
    rate: float = Field(1.0, gt=0, le=10, description="adaptive: how fast gamma follows the error")
    update: Literal["published", "bounded"] = Field(
        "published",
        description="adaptive: times exp(rate * error) and never near 0, as published; or plus "
        "rate * error, within -0.5 and 1, where the error is more than its noise",
    )
    calibration_share: float = Field(
        0.1,
        gt=0,
        le=0.5,
        description="adaptive: share of the cases that calibration is measured on",
    )
    in_turns: bool = Field(
        False,
        description="adaptive: on other cases after every epoch, so that all are trained on",
    )
    beta: float = Field(
        0.0, ge=0, lt=1, description="class weights by effective number (Cui et al. 2019); 0 is off"
    )

    def calibration_turns(self, material: Material) -> list[Rows]:
        """Return the figures that calibration is measured on, and that are not trained on.

        Returns:
            For each turn of an epoch, whole cases; one turn where they are the same in all epochs,
            none unless gamma is adaptive and there are enough cases.
        """
        turns = self._divide(material) if self.adaptive else None
        return [] if turns is None else turns if self.in_turns else turns[:1]

    def find_lack(self, material: Material) -> Lack | None:
        """Return that the cases are too few to measure calibration; None where they suffice."""
        if not self.adaptive or self._divide(material) is not None:
            return None
        cases = len(np.unique(material.figures.case[material.rows]))
        return Lack(
            f"{cases} cases are too few to measure calibration on some of them: a class would be "
            "empty",
            "add figures of more cases",
        )

    def _divide(self, material: Material) -> list[Rows] | None:
        """Return whole cases in parts of the calibration's share; None where they are too few."""
        from sklearn.model_selection import StratifiedGroupKFold

        rows, figures = material.rows, material.figures
        cases, atypical = figures.case[rows], figures.atypical[rows]
        parts = min(max(2, round(1 / self.calibration_share)), len(np.unique(cases)))
        if parts < 2 or min(atypical.sum(), (~atypical).sum()) < 2:
            return None
        parts = min(parts, int(max(atypical.sum(), (~atypical).sum())))
        folds = StratifiedGroupKFold(parts, shuffle=True, random_state=material.seed)
        with warnings.catch_warnings():  # of a class with fewer cases than parts, checked below
            warnings.simplefilter("ignore", UserWarning)
            divided = list(folds.split(rows, atypical, cases))
        needed = divided if self.in_turns else divided[:1]
        for training, aside in needed:
            if not (atypical[training].any() and (~atypical[training]).any() and len(aside)):
                return None
        return [rows[aside] for _, aside in needed]


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
        gamma: one for all, or floating (B,), one per figure; above 0 figures that are nearly right
            count less, below 0 more.

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
