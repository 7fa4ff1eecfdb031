"""The domain head: the reversed gradient, the conditioning."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from atypia.training.components.domain_adversarial import (
    DomainAdversarialSection,
    reversal_strength,
    reverse_gradient,
)

COMPONENT = DomainAdversarialSection(weight=1.0)
FULL = 1.0  # a training that is done reverses with nearly full strength


def _head(domains: int) -> nn.Module:
    figures = SimpleNamespace(domains=[str(number) for number in range(domains)])
    return COMPONENT.build_head(8, figures)  # type: ignore[arg-type]


def test_the_reversal_changes_nothing_but_the_sign_and_size_of_the_gradient() -> None:
    values = torch.randn(5, requires_grad=True)
    passed = reverse_gradient(values, 0.25)
    torch.testing.assert_close(passed, values)
    (passed * torch.arange(5.0)).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, -0.25 * torch.arange(5.0))


def test_the_head_learns_domains_while_what_lies_before_it_unlearns_them() -> None:
    torch.manual_seed(0)
    head = _head(3)
    embedding, logit = torch.randn(64, 8, requires_grad=True), torch.randn(64, requires_grad=True)
    domain = torch.randint(3, (64,))
    before = F.cross_entropy(COMPONENT.apply_head(head, embedding, logit, FULL), domain)
    before.backward()
    assert embedding.grad is not None
    assert logit.grad is None  # as published: nothing flows through the conditioning
    with torch.no_grad():
        away = COMPONENT.apply_head(head, embedding - 5 * embedding.grad, logit, FULL)
        moved = F.cross_entropy(away, domain)
        for parameter in head.parameters():
            assert parameter.grad is not None
            parameter.sub_(0.1 * parameter.grad)
        learned = F.cross_entropy(COMPONENT.apply_head(head, embedding, logit, FULL), domain)
    assert moved > before > learned


def test_at_the_beginning_the_embedding_feels_nothing() -> None:
    embedding = torch.randn(4, 8, requires_grad=True)
    logits = COMPONENT.apply_head(_head(2), embedding, torch.zeros(4), 0.0)
    F.cross_entropy(logits, torch.tensor([0, 1, 0, 1])).backward()
    assert embedding.grad is not None
    assert not embedding.grad.any()


def test_the_domain_is_asked_for_given_the_class() -> None:
    embedding = torch.randn(1, 8).expand(2, 8)
    said = COMPONENT.apply_head(_head(2), embedding, torch.tensor([-8.0, 8.0]), FULL)
    assert (said[0] - said[1]).abs().max() > 1e-3


def test_the_strength_ramps_up_from_nothing() -> None:
    ramp = [reversal_strength(done) for done in (0.0, 0.1, 0.5, 1.0)]
    assert ramp[0] == 0
    assert ramp == sorted(ramp)
    assert ramp[1] == pytest.approx(2 / (1 + 2.718281828**-1) - 1)
    assert 0.99 < ramp[-1] < 1
