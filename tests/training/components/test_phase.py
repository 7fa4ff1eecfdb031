from __future__ import annotations

import torch
from torch.nn import functional as F

from atypia.training.components.phase import phase_loss


def test_phase_loss_is_the_cross_entropy_and_passes_over_figures_without_a_label() -> None:
    logits = torch.randn(4, 3)
    target = torch.tensor([[1, 0, 0], [0, 0, 1], [0, 0.5, 0.5], [0, 0, 0]], dtype=torch.float32)
    expected = F.cross_entropy(logits[:2], torch.tensor([0, 2]), reduction="sum")
    expected = expected - logits[2].log_softmax(0)[1:].mean()
    torch.testing.assert_close(phase_loss(logits, target), expected / 4)
