"""Adaptive gamma of the focal loss: it follows the calibration of each confidence bin.

AdaFocal (Ghosh et al. 2022, algorithm 1): confident figures are held back where the network is
over-confident, and pushed (inverse focal) where it is under-confident. The error is measured on
training cases that are set aside for it, never on the held-out fold, and in the class mixture of
training: a network trained on balanced classes looks over-confident wherever they are not, and
gamma would grow until nothing is learned.

The bounded form is ours: soft labels hardly need a gamma, and one that is never near 0 costs
accuracy (docs/ablation.md). It begins with the recipe's gamma, 0 for cross-entropy, moves by the
error itself, and only where that is more than its standard error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from atypia.training.components.focal import FocalSection

# As published: gamma stays within these, and changes its sign where its size falls below the last.
LOWEST, HIGHEST, SWITCH = -2.0, 20.0, 0.2
BOUNDS = -0.5, 1.0

Floats = npt.NDArray[np.float64]


class AdaptiveGamma:
    """Gamma for each bin of confidence max(p, 1 - p).

    Attributes:
        edges: float64 (bins - 1,), ascending, in [0.5, 1]: where one bin ends and the next begins.
        gamma: float64 (bins,), in [-2, 20].
    """

    def __init__(self, section: FocalSection) -> None:
        """Begin with equal bins, each with the recipe's gamma (published: the switching size)."""
        self._rate, self._bounded = section.rate, section.update == "bounded"
        self.edges: Floats = np.linspace(0.5, 1.0, section.bins + 1)[1:-1]
        first = np.clip(section.gamma, *BOUNDS) if self._bounded else max(section.gamma, SWITCH)
        self.gamma: Floats = np.full(section.bins, first, dtype=np.float64)

    def for_logits(self, logit: torch.Tensor) -> torch.Tensor:
        """Return the gamma of each figure, float32 (B,), by its logit (B,); without gradient."""
        confidence = logit.detach().float().abs().sigmoid()
        edges = torch.from_numpy(self.edges).to(logit.device, torch.float32)
        bins = torch.bucketize(confidence, edges, right=True)
        return torch.from_numpy(self.gamma).to(logit.device, torch.float32)[bins]

    def update(self, p: Floats, target: Floats, weight: Floats) -> Floats:
        """Update bins and gammas from figures that are not trained on.

        Bins hold equal numbers of these figures. A bin's error is its mean confidence less its
        accuracy, the mean of the target's share for the called class. As published, gamma >= 0 is
        multiplied by exp(rate * error), a negative one by exp(-rate * error); bounded, rate * error
        is added where the error is more than its standard error.

        Args:
            p: float64 (M,), uncalibrated P(atypical).
            target: float64 (M,), soft labels in [0, 1].
            weight: float64 (M,), not negative, any scale: weight of each figure in these means.

        Returns:
            float64 (bins,), the error of each bin; 0 for an empty one.
        """
        confidence = np.maximum(p, 1 - p)
        right = np.where(p >= 0.5, target, 1 - target)
        bins = len(self.gamma)
        self.edges = np.quantile(confidence, np.arange(1, bins) / bins)
        bin_of = np.searchsorted(self.edges, confidence, side="right")
        total = np.bincount(bin_of, weight, bins)
        surplus = np.bincount(bin_of, weight * (confidence - right), bins)
        error: Floats = surplus / np.where(total > 0, total, 1)
        if self._bounded:
            deviation = confidence - right - error[bin_of]
            spread = np.bincount(bin_of, (weight * deviation) ** 2, bins)
            noise = np.sqrt(spread) / np.where(total > 0, total, 1)
            step = np.where(np.abs(error) > noise, self._rate * error, 0.0)
            self.gamma = np.clip(self.gamma + step, *BOUNDS)
            return error
        moved = self.gamma * np.exp(np.sign(self.gamma) * self._rate * error)
        small = np.abs(moved) < SWITCH
        moved[small] = -np.sign(moved[small]) * SWITCH
        self.gamma = np.clip(moved, LOWEST, HIGHEST)
        return error

    def state(self) -> dict[str, Any]:
        """Return all of it, for a checkpoint."""
        return {"edges": torch.from_numpy(self.edges), "gamma": torch.from_numpy(self.gamma)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.edges, self.gamma = state["edges"].numpy(), state["gamma"].numpy()
