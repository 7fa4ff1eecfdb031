"""Heads for training: the reversed gradient, the conditioning, the projection."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from atypia.models.heads import DomainHead, ProjectionHead, reverse_gradient
from atypia.training.components.domain_adversarial import domain_loss, reversal_strength
from atypia.training.components.phase import phase_loss


def test_the_reversal_changes_nothing_but_the_sign_and_size_of_the_gradient() -> None:
    values = torch.randn(5, requires_grad=True)
    passed = reverse_gradient(values, 0.25)
    torch.testing.assert_close(passed, values)
    (passed * torch.arange(5.0)).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, -0.25 * torch.arange(5.0))


def test_the_head_learns_domains_while_what_lies_before_it_unlearns_them() -> None:
    torch.manual_seed(0)
    head = DomainHead(8, 3)
    embedding, logit = torch.randn(64, 8, requires_grad=True), torch.randn(64, requires_grad=True)
    domain = torch.randint(3, (64,))
    before = domain_loss(head(embedding, logit, 1.0), domain)
    before.backward()
    assert embedding.grad is not None
    assert logit.grad is None  # as published: nothing flows through the conditioning
    with torch.no_grad():
        moved = domain_loss(head(embedding - 5 * embedding.grad, logit, 1.0), domain)
        for parameter in head.parameters():
            assert parameter.grad is not None
            parameter.sub_(0.1 * parameter.grad)
        learned = domain_loss(head(embedding, logit, 1.0), domain)
    assert moved > before > learned


def test_at_strength_zero_the_embedding_feels_nothing() -> None:
    embedding = torch.randn(4, 8, requires_grad=True)
    domain_loss(
        DomainHead(8, 2)(embedding, torch.zeros(4), 0.0), torch.tensor([0, 1, 0, 1])
    ).backward()
    assert embedding.grad is not None
    assert not embedding.grad.any()


def test_the_domain_is_asked_for_given_the_class() -> None:
    head, embedding = DomainHead(8, 2), torch.randn(1, 8).expand(2, 8)
    said = head(embedding, torch.tensor([-8.0, 8.0]), 1.0)
    assert (said[0] - said[1]).abs().max() > 1e-3


def test_the_strength_ramps_up_from_nothing() -> None:
    ramp = [reversal_strength(done) for done in (0.0, 0.1, 0.5, 1.0)]
    assert ramp[0] == 0
    assert ramp == sorted(ramp)
    assert ramp[1] == pytest.approx(2 / (1 + 2.718281828**-1) - 1)
    assert 0.99 < ramp[-1] < 1


def test_projections_lie_on_the_unit_sphere() -> None:
    points = ProjectionHead(8)(torch.randn(6, 8))
    torch.testing.assert_close(points.norm(dim=1), torch.ones(6))


def test_phase_loss_is_the_cross_entropy_and_passes_over_figures_without_a_label() -> None:
    logits = torch.randn(4, 3)
    target = torch.tensor([[1, 0, 0], [0, 0, 1], [0, 0.5, 0.5], [0, 0, 0]], dtype=torch.float32)
    expected = F.cross_entropy(logits[:2], torch.tensor([0, 2]), reduction="sum")
    expected = expected - logits[2].log_softmax(0)[1:].mean()
    torch.testing.assert_close(phase_loss(logits, target), expected / 4)
