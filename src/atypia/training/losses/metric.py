"""Supervised contrastive loss across slides (Khosla et al. 2020, eq. 2)."""

from __future__ import annotations

import torch
from pytorch_metric_learning.losses import SupConLoss

Pairs = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def cross_slide_pairs(atypical: torch.Tensor, anchor: torch.Tensor, slide: torch.Tensor) -> Pairs:
    """Return which crops are pulled together and which are pushed apart.

    Positives are of the anchor's class and of another slide: what crops of one slide share may be
    its stain. Crops of the same class and the same slide, among them the other view of the same
    figure, are neither pulled nor pushed. Negatives are of the other class, on any slide.

    Args:
        atypical: bool (V,), the class of each crop.
        anchor: bool (V,), whose experts are of one mind.
        slide: int64 (V,).

    Returns:
        Indices: anchors and their positives, anchors and their negatives.
    """
    same = atypical.unsqueeze(0) == atypical.unsqueeze(1)
    apart = slide.unsqueeze(0) != slide.unsqueeze(1)
    led = anchor.unsqueeze(1)
    a1, p = torch.where(led & same & apart)
    a2, n = torch.where(led & ~same)
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
    pairs = cross_slide_pairs(atypical, anchor, slide)
    loss: torch.Tensor = SupConLoss(temperature=temperature)(projection, atypical.long(), pairs)
    return loss
