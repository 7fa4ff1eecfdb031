"""What a component inherits: no head, no requirement, and a loss that must be written."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from atypia.training.components.base import (
    Labels,
    LossComponent,
    Outputs,
)


class Unwritten(LossComponent):
    """A loss that somebody begins to write."""


class Ranking(LossComponent):
    """A loss that takes what is inherited."""

    def compute_loss(self, outputs: Outputs, labels: Labels) -> torch.Tensor:
        return outputs.logit.mean()


def test_a_component_requires_nothing_of_the_figures_unless_it_says_so() -> None:
    material = SimpleNamespace(rows=np.arange(0))
    assert Ranking(weight=1.0).find_lack(material) is None  # type: ignore[arg-type]


def test_a_loss_is_off_until_it_has_a_weight_and_has_no_head_unless_it_builds_one() -> None:
    component = Ranking()
    assert getattr(component, component.switch) == component.off == 0
    assert component.build_head(8, SimpleNamespace()) is None  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="weight"):
        Ranking(weight=-1)


def test_a_head_takes_the_embedding() -> None:
    embedding = torch.rand(4, 8)
    head = nn.Linear(8, 2)
    output = Ranking().apply_head(head, embedding, torch.zeros(4), 0.5)
    assert torch.equal(output, head(embedding))


def test_a_loss_that_computes_nothing_cannot_be_in_a_recipe() -> None:
    with pytest.raises(TypeError, match="compute_loss"):
        Unwritten()  # type: ignore[abstract]
