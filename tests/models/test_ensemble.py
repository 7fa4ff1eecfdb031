"""Members as one module: the logit of each, in their order."""

from __future__ import annotations

import torch
from torch import nn

from atypia.models.classifier import Classifier
from atypia.models.ensemble import Ensemble


def member(weight: float) -> Classifier:
    """Build a classifier whose logit is `weight` times the sum of the channels' means."""
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = Classifier(backbone, 3, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), dropout=0.0)
    nn.init.constant_(network.head.weight, weight)
    return network.eval()


def test_each_row_is_the_logit_of_a_member() -> None:
    crops = torch.rand(5, 3, 8, 8)
    sums = crops.mean(dim=(2, 3)).sum(dim=1)
    logits = Ensemble([member(1.0), member(-2.0)])(crops)
    assert logits.shape == (2, 5)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, torch.stack([sums, -2 * sums]))
