"""MixUp interpolates crops and all that belongs to them alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atypia.training.components.mixup import MixupSection, mixup


def test_mixup_interpolates_crops_and_targets_alike() -> None:
    target = torch.tensor([0.0, 1.0, 0.0, 1.0])
    crops = target.view(4, 1, 1, 1).expand(4, 3, 2, 2).clone()
    mixed, mixed_target = mixup(1.0, np.random.default_rng(1), crops, target)
    torch.testing.assert_close(mixed[:, 0, 0, 0], mixed_target)
    assert float(mixed_target.sum()) == pytest.approx(2.0)
    assert len(mixed_target.unique()) > 2


def test_alpha_zero_changes_nothing_and_draws_nothing() -> None:
    crops, rng = torch.rand(4, 3, 2, 2), np.random.default_rng(0)
    (mixed,) = mixup(MixupSection(alpha=0).alpha, rng, crops)
    assert torch.equal(mixed, crops)
    assert rng.random() == np.random.default_rng(0).random()
