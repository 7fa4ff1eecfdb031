"""The members of a bundle as one torch module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from atypia.models.classifier import Classifier


class Ensemble(nn.Module):
    """Several classifiers that look at the same crops.

    Attributes:
        members: each a `Classifier`; with a linear adapter they share one backbone.
    """

    def __init__(self, members: Sequence[Classifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Return the logit of each member, uncalibrated.

        Args:
            crops: float32 (B, 3, P, P), RGB in [0, 1]; the members normalise them.

        Returns:
            Logits, float32 (members, B).
        """
        return torch.stack([member(crops).logit for member in self.members])
