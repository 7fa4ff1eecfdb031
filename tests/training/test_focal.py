"""Focal loss: the published special cases, its gradient, and its extremes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from atypia.training.losses.focal import focal_loss


def test_gamma_zero_is_cross_entropy() -> None:
    logit, target = torch.randn(100), torch.rand(100)
    expected = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
    torch.testing.assert_close(focal_loss(logit, target, 0.0), expected)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_hard_targets_are_those_of_torchvision(gamma: float) -> None:
    logit = torch.randn(100) * 3
    target = (torch.rand(100) < 0.5).float()
    expected = sigmoid_focal_loss(logit, target, alpha=-1, gamma=gamma)
    torch.testing.assert_close(focal_loss(logit, target, gamma), expected, rtol=1e-4, atol=1e-6)


def test_a_soft_target_is_reached_where_it_says() -> None:
    logit = torch.linspace(-4, 4, 801)
    loss = focal_loss(logit, torch.full_like(logit, 0.25), 2.0)
    assert abs(float(logit[loss.argmin()].sigmoid()) - 0.25) < 0.01


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradient_agrees_with_finite_differences(gamma: float) -> None:
    logit = torch.tensor([-2.0, -0.3, 0.4, 3.0], requires_grad=True)
    target = torch.tensor([0.0, 1 / 3, 1.0, 0.5])
    focal_loss(logit, target, gamma).sum().backward()
    assert logit.grad is not None
    step = 1e-2
    for row in range(4):
        move = torch.zeros(4)
        move[row] = step
        up = focal_loss(logit.detach() + move, target, gamma).double().sum()
        down = focal_loss(logit.detach() - move, target, gamma).double().sum()
        assert float(logit.grad[row]) == pytest.approx(float((up - down) / (2 * step)), abs=2e-3)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_extreme_logits_in_bf16_stay_finite(gamma: float) -> None:
    logit = torch.tensor([-100.0, 100.0, -100.0, 100.0], dtype=torch.bfloat16, requires_grad=True)
    target = torch.tensor([0.0, 1.0, 1.0, 0.0])
    loss = focal_loss(logit, target, gamma)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert logit.grad is not None
    assert torch.isfinite(logit.grad).all()
