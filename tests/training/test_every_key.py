"""Every key of the recipe does something: changed, it alters the weights after a few steps.

The few that act elsewhere stand in `ELSEWHERE`, with the test that sees them. The keys of the
losses are read from their sections, so that a new loss is picked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable
from atypia.training.batches import read_windows
from atypia.training.components.sampling import draw_epoch, figure_weights
from atypia.training.devices import open_fabric
from atypia.training.figures import training_figures
from atypia.training.loop import MemberInputs, MemberTraining
from atypia.training.recipe import Recipe, deciding_values, loss_components
from atypia.training.stepper import derive_seed
from small_training import small_recipe, start_stepper

# Everything on, so that no key is without effect because its component is off.
BASE = [
    *("adapter.kind=full", "head.dropout=0.2"),
    *("focal.gamma=1.0", "focal.beta=0.9", "mixup.alpha=0.4", "ema.decay=0.9"),
    *(f"{name}.weight=0.5" for name in loss_components()),
    *("augment.blur=0.5", "augment.jpeg=0.5", "augment.stain=0.2", "augment.brightness=0.1"),
    *("schedule.clip=0.5", "soft_labels.method=fraction"),
]


def _change_losses() -> Iterator[tuple[str, str]]:
    """Yield each key of each loss with another value: 1 for its weight, else twice the default."""
    for name, loss in loss_components().items():
        for key, value in loss():
            if key == "weight":
                yield f"{name}.weight", "1"
            elif isinstance(value, bool):
                yield f"{name}.{key}", str(not value).lower()
            elif isinstance(value, int | float) and value:
                yield f"{name}.{key}", str(2 * value)


# section.key -> another value.
CHANGED = {
    **dict(_change_losses()),
    "seed": "1",
    "backbone.crop_um": "14",
    "backbone.input_px": "48",
    "head.dropout": "0",
    "soft_labels.method": "majority",
    "soft_labels.smoothing": "0.1",
    "mixup.alpha": "0",
    "focal.gamma": "2.0",
    "focal.beta": "0",
    "sampling.class_balance": "1",
    "sampling.domain_balance": "1",
    "sampling.prior": "1",
    "augment.rotate": "false",
    "augment.scale": "0",
    "augment.shift_um": "0",
    "augment.stain": "0",
    "augment.brightness": "0",
    "augment.blur": "0",
    "augment.jpeg": "0",
    "ema.decay": "0",
    "schedule.batch_size": "12",
    "schedule.learning_rate": "5e-3",
    "schedule.head_learning_rate": "1e-2",
    "schedule.weight_decay": "0.5",
    "schedule.warmup": "0.5",
    "schedule.clip": "0.01",
}
ELSEWHERE = {
    "name": "a bundle's card: tests/workflows/test_train.py",
    "backbone.key": "another network: tests/contracts/test_backbones.py",
    "backbone.tta_views": "scores alone: tests/workflows/test_train.py",
    "backbone.pretrained": "needs the packaged weights: tests/training/test_backbone_weights.py",
    "adapter.kind": "tests/models/test_adapters.py",
    "adapter.rank": "tests/models/test_adapters.py",
    "adapter.alpha": "tests/models/test_adapters.py",
    "adapter.dropout": "tests/models/test_adapters.py",
    "adapter.target": "tests/models/test_adapters.py",
    "hard_negatives.oversampling": "from the second epoch on: components/test_hard_negatives.py",
    "hard_negatives.share": "components/test_hard_negatives.py",
    "hard_negatives.momentum": "components/test_hard_negatives.py",
    "focal.adaptive": "from the second epoch on: components/test_adaptive_gamma.py",
    "focal.bins": "components/test_adaptive_gamma.py",
    "focal.rate": "components/test_adaptive_gamma.py",
    "focal.calibration_share": "components/test_focal.py",
    "focal.update": "components/test_adaptive_gamma.py",
    "focal.in_turns": "components/test_focal.py",
    "schedule.epochs": "tests/training/test_loop.py",
    "schedule.min_steps": "tests/training/test_loop.py",
    "schedule.precision": "tests/training/test_devices.py",
    "schedule.gradient_checkpointing": "tests/training/test_stepper.py",
    "folds.count": "tests/workflows/training/test_plan.py",
    "folds.scheme": "tests/workflows/test_train.py",
    "folds.members": "tests/workflows/test_train.py",
    "folds.left_out_domains": "tests/workflows/test_train.py",
    "folds.bundle": "tests/workflows/training/test_teachers.py",
    "folds.domain_groups": "tests/workflows/training/test_plan.py",
    "distillation.teachers": "tests/workflows/training/test_teachers.py",
    "distillation.unlabelled_share": "needs teachers: components/test_distillation.py",
    "distillation.turned": "needs teachers: components/test_distillation.py",
    "distillation.weight": "needs teachers: components/test_distillation.py",
}
STEPS, OF = 3, 20


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    folder = tmp_path_factory.mktemp("cohort")
    whole = make_phantom(folder, figures=80, domains=2, slides_per_domain=4, size_px=96, seed=0)
    # One domain is half as large as the other, or balancing them would change nothing.
    fewer = whole.frame["slide"].str.startswith("d2") & (np.arange(len(whole)) % 2 == 0)
    return replace(whole, frame=whole.frame[~fewer].reset_index(drop=True))


def _shares(table: FigureTable, recipe: Recipe) -> np.ndarray:
    figures = training_figures(table, recipe.soft_labels)
    return figure_weights(
        figures.domain,
        figures.atypical,
        class_balance=recipe.sampling.class_balance,
        domain_balance=recipe.sampling.domain_balance,
    )


def _weights(table: FigureTable, *changes: str) -> Mapping[str, torch.Tensor]:
    recipe = small_recipe("plain", *BASE, *changes)
    shares = _shares(table, recipe)
    stepper = start_stepper(table, recipe, shares=shares)
    size = recipe.schedule.batch_size
    rng = np.random.default_rng(derive_seed(recipe, 0, 1, 0))
    drawn = draw_epoch(shares, STEPS * size, rng)
    for step in range(STEPS):
        stepper.step(drawn[step * size : (step + 1) * size], step, OF)
    return stepper.bundle_state()


@pytest.fixture(scope="module")
def unchanged(table: FigureTable) -> Mapping[str, torch.Tensor]:
    return _weights(table)


def test_every_key_stands_in_one_of_the_two_lists() -> None:
    recipe = Recipe()
    keys = {"name", "seed"} | {
        f"{section}.{key}"
        for section, part in recipe
        if isinstance(part, BaseModel) and section != "card"
        for key in type(part).model_fields
    }
    assert keys == CHANGED.keys() | ELSEWHERE.keys()
    assert not CHANGED.keys() & ELSEWHERE.keys()
    # Of teachers the content decides, not the place.
    assert len(keys) - 1 == len(deciding_values(recipe))


@pytest.mark.parametrize("key", CHANGED)
def test_a_key_changes_the_weights(
    table: FigureTable, unchanged: Mapping[str, torch.Tensor], key: str
) -> None:
    changed = _weights(table, f"{key}={CHANGED[key]}")
    assert any(
        unchanged[name].shape != changed[name].shape
        or not torch.equal(unchanged[name], changed[name])
        for name in unchanged
    )


def test_class_and_domain_balance_act_on_what_they_name(table: FigureTable) -> None:
    recipe = small_recipe("plain", "sampling.class_balance=1", "sampling.domain_balance=0")
    figures = training_figures(table, recipe.soft_labels)
    fabric = open_fabric("cpu", recipe.schedule)
    inputs = MemberInputs(recipe, read_windows(table, recipe), figures, fabric)
    rows, none = np.arange(len(table)), np.arange(0)
    shares = MemberTraining(inputs, figures, rows, none, 0).weights(0)
    for code in (0, 1):
        own = figures.domain == code
        assert shares[own].sum() == pytest.approx(own.mean())
        assert shares[own & figures.atypical].sum() == pytest.approx(own.mean() / 2)
