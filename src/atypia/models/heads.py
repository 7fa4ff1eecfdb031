"""Heads on the embedding besides the classifier's own, for training only: projection and domain."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

_HIDDEN = 128


class ProjectionHead(nn.Module):
    """A normalised projection for the contrastive loss (Khosla et al. 2020, sec. 3.1)."""

    def __init__(self, embedding: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(embedding, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN)
        )

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return points on the unit sphere, float32 (B, 128), of embeddings (B, D)."""
        return F.normalize(self.layers(embedding))


class DomainHead(nn.Module):
    """Tells domains from embeddings; what lies before it learns the opposite.

    The head sees the outer product of embedding and class probabilities (CDAN, Long et al. 2018,
    eq. 5), so that the embedding need only lose what tells domains apart within a class. As there,
    no gradient flows through the probabilities.
    """

    def __init__(self, embedding: int, domains: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * embedding, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, domains)
        )

    def forward(
        self, embedding: torch.Tensor, logit: torch.Tensor, strength: float
    ) -> torch.Tensor:
        """Return the logits of each domain.

        Args:
            embedding: float32 (B, D).
            logit: float32 (B,), of P(atypical).
            strength: the gradient to the embedding is multiplied by -strength.

        Returns:
            float32 (B, domains).
        """
        p = logit.detach().sigmoid().unsqueeze(1)
        reversed_ = reverse_gradient(embedding, strength)
        domain: torch.Tensor = self.layers(torch.cat([p * reversed_, (1 - p) * reversed_], dim=1))
        return domain


def reverse_gradient(values: torch.Tensor, strength: float) -> torch.Tensor:
    """Return `values`; their gradient is multiplied by -strength (Ganin et al. 2016, eq. 16)."""
    reversed_: torch.Tensor = _Reversal.apply(values, strength)
    return reversed_


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, strength: float) -> torch.Tensor:
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -ctx.strength * gradients[0], None
