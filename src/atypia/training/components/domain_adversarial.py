"""Domain-adversarial training: a head predicts the domain, and the backbone learns against it.

A gradient reversal (Ganin et al. 2016), conditioned on the class (CDAN, Long et al. 2018).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from atypia.training.components.base import (
    Labels,
    Lack,
    LossComponent,
    Material,
    Outputs,
)

if TYPE_CHECKING:
    from atypia.training.figures import TrainingFigures

_HIDDEN = 128


class DomainAdversarialSection(LossComponent):
    """Domain head behind a gradient reversal (Ganin 2016), conditioned on the class (Long 2018)."""

    sees: ClassVar[Literal["mixed", "unmixed"]] = "unmixed"
    unlabelled_share: ClassVar[float] = 0.25
    # The head must keep up with the backbone that is trained against it: at the rate of the other
    # heads, a linear probe still separated the stains of a phantom after 200 steps.
    rate_factor: ClassVar[float] = 5.0
    trains_backbone: ClassVar[bool] = True

    def build_head(self, embedding: int, figures: TrainingFigures) -> nn.Module:
        """Build the domain classifier."""
        return nn.Sequential(
            nn.Linear(2 * embedding, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, len(figures.domains)),
        )

    def apply_head(
        self, head: nn.Module, embedding: torch.Tensor, logit: torch.Tensor, done: float
    ) -> torch.Tensor:
        """Return the logits of each domain, float32 (A, domains).

        The head sees the outer product of embedding and class probabilities (CDAN, Long et al.
        2018, eq. 5), so that the embedding need only lose what separates domains within a class.
        As there, no gradient flows through the probabilities.
        """
        p = logit.detach().sigmoid().unsqueeze(1)
        reversed_ = reverse_gradient(embedding, reversal_strength(done))
        domain: torch.Tensor = head(torch.cat([p * reversed_, (1 - p) * reversed_], dim=1))
        return domain

    def compute_loss(self, outputs: Outputs, labels: Labels) -> torch.Tensor:
        """Return the mean cross-entropy of the domains."""
        assert outputs.head is not None
        return F.cross_entropy(outputs.head, labels.domain)

    def find_lack(self, material: Material) -> Lack | None:
        """Return that there is one domain; None where there are more."""
        domains = material.figures.domain[material.rows]
        if material.adapt_to is not None:
            domains = np.concatenate([domains, material.adapt_to])
        if not self.weight or len(np.unique(domains)) > 1:
            return None
        name = material.figures.domains[int(domains[0])]
        return Lack(
            f"all training figures come from one domain ({name})",
            "add figures of a second domain, use --adapt-to",
        )


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


def reversal_strength(done: float) -> float:
    """Return the strength of the gradient reversal (Ganin et al. 2016, sec. 5.2.2).

    Args:
        done: share of the training that is done, in [0, 1].

    Returns:
        In [0, 1): 2 / (1 + exp(-10 done)) - 1, so that the early, noisy domain head does no harm.
    """
    return 2 / (1 + math.exp(-10 * done)) - 1
