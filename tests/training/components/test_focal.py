"""Focal loss: the published special cases, its gradient, and its extremes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from atypia.data.table import FigureTable
from atypia.training.components.base import Material
from atypia.training.components.focal import class_weights, focal_loss
from atypia.training.figures import training_figures
from small_training import small_recipe


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


@pytest.mark.parametrize("gamma", [-2.0, -0.5, 0.0, 0.5, 2.0])
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


def test_inverse_focal_pushes_what_is_nearly_right_harder_than_cross_entropy() -> None:
    logit = torch.tensor([3.0], requires_grad=True)
    pulls = []
    for gamma in (1.0, 0.0, -1.0):
        (gradient,) = torch.autograd.grad(focal_loss(logit, torch.ones(1), gamma).sum(), logit)
        pulls.append(-float(gradient))
    assert pulls[0] < pulls[1] < pulls[2]


def test_each_figure_can_have_its_own_gamma() -> None:
    logit, target = torch.randn(5), torch.rand(5)
    gamma = torch.tensor([0.0, 2.0, -1.0, 0.5, 0.0])
    expected = [focal_loss(logit[k : k + 1], target[k : k + 1], float(gamma[k])) for k in range(5)]
    torch.testing.assert_close(focal_loss(logit, target, gamma), torch.cat(expected))


def test_mixed_gammas_at_extreme_logits_stay_finite() -> None:
    logit = torch.tensor([-100.0, 100.0, -100.0, 100.0], dtype=torch.bfloat16, requires_grad=True)
    target = torch.tensor([0.0, 1.0, 1.0, 0.0])
    loss = focal_loss(logit, target, torch.tensor([-2.0, 20.0, 0.2, -0.2]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert logit.grad is not None
    assert torch.isfinite(logit.grad).all()


def test_class_weights_follow_the_effective_number() -> None:
    cells = np.repeat([0, 1, 7], [900, 90, 10])
    alike = np.full(1000, 1 / 1000)
    weights = class_weights(cells, alike, 0.99)
    effective = {cell: (1 - 0.99**count) / 0.01 for cell, count in ((0, 900), (1, 90), (7, 10))}
    expected = np.array([1 / effective[cell] for cell in cells])
    np.testing.assert_allclose(weights, expected / expected.mean(), rtol=1e-5)
    np.testing.assert_array_equal(class_weights(cells, alike, 0.0), 1.0)
    # Near 1 a cell counts as much as any other, whatever its size.
    totals = np.bincount(cells, class_weights(cells, alike, 1 - 1e-9))
    np.testing.assert_allclose(totals[[0, 1, 7]], 1000 / 3, rtol=1e-4)


def test_class_weights_do_not_balance_again_what_is_drawn_in_balance() -> None:
    cells = np.repeat([0, 1, 7], [900, 90, 10])
    balanced = 1 / (3 * np.array([900, 90, 10])[np.repeat([0, 1, 2], [900, 90, 10])])
    np.testing.assert_allclose(class_weights(cells, balanced, 0.999), 1, rtol=1e-6)
    by_halves = balanced**0.5 / (balanced**0.5).sum()
    weights = class_weights(cells, by_halves, 1 - 1e-9)
    np.testing.assert_allclose(np.bincount(cells, weights * by_halves)[[0, 1, 7]], 1 / 3, rtol=1e-4)


def test_cases_set_aside_for_gamma_are_whole_and_in_turns_all_of_them(table: FigureTable) -> None:
    figures = training_figures(table, small_recipe("plain").soft_labels)
    everything = Material(figures, np.arange(90), None, 0)
    fixed, turning, without = (
        small_recipe("plain", *changes).focal.calibration_turns(everything)
        for changes in (
            ("focal.adaptive=true", "focal.calibration_share=0.25"),
            ("focal.adaptive=true", "focal.calibration_share=0.25", "focal.in_turns=true"),
            (),
        )
    )
    assert without == []
    (aside,) = fixed
    assert 10 <= len(aside) <= 35
    assert not set(figures.case[aside]) & set(figures.case[np.setdiff1d(np.arange(90), aside)])
    assert len(turning) == 4
    np.testing.assert_array_equal(turning[0], aside)
    assert sorted(np.concatenate(turning)) == list(range(90))
