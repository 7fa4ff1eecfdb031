"""The network in training: the classifier, and auxiliary heads that no bundle keeps."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from atypia.models.classifier import Classifier, build_classifier, build_heads
from atypia.training.figures import TrainingFigures
from atypia.training.recipe import Recipe


class TrainingOutput(NamedTuple):
    """Outputs for a batch of B crops, of which the last A are unmixed.

    Attributes:
        logit: float32 (B,), of P(atypical).
        phase: float32 (B, phases); None without a phase head.
        heads: output of each component's own head for the unmixed crops, by section name.
    """

    logit: torch.Tensor
    phase: torch.Tensor | None
    heads: dict[str, torch.Tensor]


class TrainingNetwork(nn.Module):
    """The classifier and the heads of the components, in one forward pass."""

    def __init__(
        self, recipe: Recipe, figures: TrainingFigures, weights: Path | None = None
    ) -> None:
        super().__init__()
        dropout = recipe.head.dropout
        phases = len(figures.phases) if recipe.phase.weight else 0
        self.classifier: Classifier
        if recipe.adapter.trains_backbone:
            self.classifier = build_classifier(
                recipe.backbone.key,
                recipe.adapter,
                dropout=dropout,
                pretrained=recipe.backbone.pretrained,
                phases=phases,
                input_px=recipe.backbone.input_px,
                weights=weights,
            )
        else:
            self.classifier = build_heads(recipe.backbone.key, dropout=dropout, phases=phases)
        embedding = self.classifier.head.in_features
        self._losses = dict(recipe.losses())
        heads = {name: loss.build_head(embedding, figures) for name, loss in self._losses.items()}
        self.heads = nn.ModuleDict({name: head for name, head in heads.items() if head is not None})

    def forward(self, batch: torch.Tensor, unmixed: int, done: float) -> TrainingOutput:
        """Compute the outputs for a batch.

        Args:
            batch: crops, float32 (B, 3, P, P), RGB in [0, 1]; embeddings, float32 (B, D), where
                the backbone is frozen.
            unmixed: A, the number of crops at the end that go to the components' own heads.
            done: share of the training that is done, in [0, 1].
        """
        output = self.classifier(batch)
        with torch.autocast(batch.device.type, enabled=False):
            embedding, logit = output.embedding[-unmixed:], output.logit[-unmixed:]
            heads = {
                name: self._losses[name].apply_head(head, embedding, logit, done)
                for name, head in self.heads.items()
            }
        return TrainingOutput(output.logit, output.phase, heads)

    def rate_factors(self) -> dict[str, float]:
        """Return the factor on the heads' learning rate, by parameter name."""
        return {
            f"heads.{name}.{parameter}": self._losses[name].rate_factor
            for name, head in self.heads.items()
            for parameter, _ in head.named_parameters()
        }
