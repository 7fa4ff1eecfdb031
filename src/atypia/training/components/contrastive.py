"""Supervised contrastive loss across slides (Khosla et al. 2020, eq. 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
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


class ContrastiveSection(LossComponent):
    """Supervised contrastive loss (Khosla et al. 2020), positives from other slides only."""

    sees: ClassVar[Literal["mixed", "unmixed"]] = "unmixed"
    second_view: ClassVar[bool] = True
    trains_backbone: ClassVar[bool] = True
    # Half a batch has two views; with fewer than four figures it seldom holds a pair of one class.
    min_batch: ClassVar[tuple[int, str]] = (8, "to hold pairs of one class from two slides")

    temperature: float = Field(0.1, gt=0, le=10, description="of the similarities")

    def build_head(self, embedding: int, figures: TrainingFigures) -> nn.Module:
        """Build the projection (Khosla et al. 2020, sec. 3.1)."""
        return nn.Sequential(nn.Linear(embedding, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN))

    def apply_head(
        self, head: nn.Module, embedding: torch.Tensor, logit: torch.Tensor, done: float
    ) -> torch.Tensor:
        """Return points on the unit sphere, float32 (A, 128)."""
        return F.normalize(head(embedding))

    def compute_loss(self, outputs: Outputs, labels: Labels) -> torch.Tensor:
        """Return the mean over anchors with at least one positive."""
        assert outputs.head is not None
        points = outputs.head[: len(labels.atypical)]
        return contrastive_loss(
            points, labels.atypical, labels.unanimous, labels.slide, self.temperature
        )

    def find_lack(self, material: Material) -> Lack | None:
        """Return that there is no positive pair; None where there is one."""
        if not self.weight or any(_has_positives(material, kind) for kind in (False, True)):
            return None
        return Lack(
            "no class has unanimous figures on two slides, so there is no positive pair",
            "add figures of more slides",
        )


def _has_positives(material: Material, atypical: bool) -> bool:
    """Return whether a class has an anchor, and figures on two slides."""
    figures, rows = material.figures, material.rows
    members = rows[figures.atypical[rows] == atypical]
    return bool(figures.unanimous[members].any()) and len(np.unique(figures.slide[members])) > 1


Pairs = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def cross_slide_pairs(atypical: torch.Tensor, anchor: torch.Tensor, slide: torch.Tensor) -> Pairs:
    """Return the positive and the negative pairs of a batch.

    Positives are of the anchor's class and of another slide: what crops of one slide share may be
    its stain. Crops of the same class and the same slide, among them the other view of the same
    figure, are in no pair. Negatives are of the other class, on any slide.

    Args:
        atypical: bool (V,), the class of each crop.
        anchor: bool (V,), whose experts agree.
        slide: int64 (V,).

    Returns:
        Indices: anchors and their positives, anchors and their negatives.
    """
    same = atypical.unsqueeze(0) == atypical.unsqueeze(1)
    apart = slide.unsqueeze(0) != slide.unsqueeze(1)
    leads = anchor.unsqueeze(1)
    a1, p = torch.where(leads & same & apart)
    a2, n = torch.where(leads & ~same)
    return a1, p, a2, n


def contrastive_loss(
    projection: torch.Tensor,
    atypical: torch.Tensor,
    anchor: torch.Tensor,
    slide: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """Return the mean supervised contrastive loss over anchors with at least one positive.

    Args:
        projection: float32 (V, P), on the unit sphere, of unmixed crops.
        atypical: bool (V,).
        anchor: bool (V,).
        slide: int64 (V,).
        temperature: of the similarities.

    Returns:
        float32, a scalar; 0 where no anchor has a positive.
    """
    from pytorch_metric_learning.losses import SupConLoss  # takes a second to import

    pairs = cross_slide_pairs(atypical, anchor, slide)
    loss: torch.Tensor = SupConLoss(temperature=temperature)(projection, atypical.long(), pairs)
    return loss
