"""The network while it is trained: the classifier, and heads that no bundle keeps."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from atypia.models.classifier import Classifier, build_classifier, build_heads
from atypia.models.heads import DomainHead, ProjectionHead
from atypia.training.recipe import Recipe


class Trained(NamedTuple):
    """What the network says of a batch of B crops, of which the last A are unmixed.

    Attributes:
        logit: float32 (B,), of P(atypical).
        phase: float32 (B, phases); None without a phase head.
        projection: float32 (A, P), on the unit sphere; None without a metric loss.
        domain: float32 (A, domains); None without a domain loss.
    """

    logit: torch.Tensor
    phase: torch.Tensor | None
    projection: torch.Tensor | None
    domain: torch.Tensor | None


class TrainingNetwork(nn.Module):
    """Classifier, projection head and domain head in one forward pass."""

    def __init__(
        self, recipe: Recipe, domains: int, phases: int, weights: Path | None = None
    ) -> None:
        super().__init__()
        dropout, phases = recipe.head.dropout, phases if recipe.phase.weight else 0
        self.classifier: Classifier
        if recipe.adapter.kind == "linear":
            self.classifier = build_heads(recipe.backbone.key, dropout=dropout, phases=phases)
        else:
            self.classifier = build_classifier(
                recipe.backbone.key,
                recipe.adapter,
                dropout=dropout,
                pretrained=recipe.backbone.pretrained,
                phases=phases,
                input_px=recipe.backbone.input_px,
                weights=weights,
            )
        embedding = self.classifier.head.in_features
        self.projection = ProjectionHead(embedding) if recipe.metric.weight else None
        self.domain = DomainHead(embedding, domains) if recipe.domain.weight else None

    def forward(self, shown: torch.Tensor, unmixed: int, strength: float) -> Trained:
        """Look at a batch.

        Args:
            shown: crops, float32 (B, 3, P, P), RGB in [0, 1]; embeddings, float32 (B, D), where
                the backbone is not trained.
            unmixed: A, so many crops at the end go to the projection and the domain head.
            strength: of the gradient reversal.
        """
        output = self.classifier(shown)
        projection = domain = None
        with torch.autocast(shown.device.type, enabled=False):
            embedding, logit = output.embedding[-unmixed:], output.logit[-unmixed:]
            if self.projection is not None:
                projection = self.projection(embedding)
            if self.domain is not None:
                domain = self.domain(embedding, logit, strength)
        return Trained(output.logit, output.phase, projection, domain)
