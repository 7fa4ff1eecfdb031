"""The contrastive loss: its pairs, and its value against the published formula."""

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.losses import SupConLoss
from torch.nn import functional as F

from atypia.training.components.contrastive import (
    ContrastiveSection,
    contrastive_loss,
    cross_slide_pairs,
)


def _batch(count: int = 48, slides: int = 6) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    points = F.normalize(torch.randn(count, 16, generator=generator))
    atypical = torch.rand(count, generator=generator) < 0.4
    anchor = torch.rand(count, generator=generator) < 0.7
    slide = torch.randint(slides, (count,), generator=generator)
    return points, atypical, anchor, slide


def test_no_positive_pair_shares_a_slide_and_every_anchor_is_unanimous() -> None:
    _, atypical, anchor, slide = _batch()
    a, p, b, n = cross_slide_pairs(atypical, anchor, slide)
    assert len(a) > 50
    assert torch.all(slide[a] != slide[p])
    assert torch.all(atypical[a] == atypical[p])
    assert torch.all(atypical[b] != atypical[n])
    assert anchor[a].all()
    assert anchor[b].all()
    # Nothing that may be a pair is left out.
    every = sum(
        int(anchor[i]) * int(atypical[i] == atypical[j]) * int(slide[i] != slide[j])
        for i in range(len(slide))
        for j in range(len(slide))
    )
    assert len(a) == every


def test_two_views_of_a_figure_are_neither_pulled_nor_pushed() -> None:
    atypical, slide = torch.tensor([True, True]), torch.tensor([3, 3])
    a, p, b, n = cross_slide_pairs(atypical, torch.tensor([True, True]), slide)
    assert not len(a) + len(p) + len(b) + len(n)


def test_the_value_is_that_of_the_formula() -> None:
    """Khosla et al. 2020, eq. 2, over the pairs that count."""
    points, atypical, anchor, slide = _batch()
    losses = []
    for i in torch.nonzero(anchor).flatten():
        positive = (atypical == atypical[i]) & (slide != slide[i])
        counted = positive | (atypical != atypical[i])
        if positive.any():
            similar = points @ points[i] / 0.1
            losses.append(-(similar[positive] - similar[counted].logsumexp(0)).mean())
    found = contrastive_loss(points, atypical, anchor, slide, 0.1)
    assert float(found) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)


def test_with_every_crop_from_its_own_slide_it_is_the_librarys_own_value() -> None:
    points, atypical, _, _ = _batch()
    everyone, apart = torch.ones(48, dtype=torch.bool), torch.arange(48)
    found = contrastive_loss(points, atypical, everyone, apart, 0.1)
    expected = SupConLoss(temperature=0.1)(points, atypical.long())
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_a_batch_without_any_pair_gives_zero_and_a_gradient_of_zero() -> None:
    points = F.normalize(torch.randn(4, 8)).requires_grad_()
    one_slide = torch.zeros(4, dtype=torch.int64)
    loss = contrastive_loss(points, torch.ones(4, dtype=torch.bool), one_slide == 0, one_slide, 0.1)
    assert float(loss.detach()) == 0
    loss.backward()
    assert points.grad is not None
    assert not points.grad.any()


def test_its_gradient_pulls_a_class_together_across_slides() -> None:
    points, atypical, anchor, slide = _batch()
    points = points.requires_grad_()
    before = contrastive_loss(points, atypical, anchor, slide, 0.1)
    before.backward()
    assert points.grad is not None
    moved = F.normalize(points.detach() - 0.5 * points.grad)
    assert float(contrastive_loss(moved, atypical, anchor, slide, 0.1)) < float(before)


def test_projections_lie_on_the_unit_sphere() -> None:
    component = ContrastiveSection(weight=1.0)
    head = component.build_head(8, None)  # type: ignore[arg-type]
    points = component.apply_head(head, torch.randn(6, 8), torch.zeros(6), 0.5)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(6))
