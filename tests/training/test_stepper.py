"""A step: which crops each loss sees, at which rates it learns, and what little memory changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atypia.data.table import FigureTable
from atypia.errors import AtypiaError
from atypia.training.batches import (
    augmented_crops,
    read_windows,
)
from atypia.training.figures import (
    UnlabelledFigures,
    training_figures,
)
from atypia.training.stepper import MemberStepper, derive_seed
from small_training import small_recipe, start_stepper

BASE = (
    *("adapter.kind=full", "phase.weight=0.5", "contrastive.weight=0.5"),
    *("domain_adversarial.weight=0.5", "schedule.clip=0.5"),
)


def test_mixup_leaves_metric_and_domain_losses_on_unmixed_figures(table: FigureTable) -> None:
    recipe = small_recipe("seed", "mixup.alpha=1", "adapter.kind=full")
    windows, rows = read_windows(table, recipe), np.arange(16)
    stepper = start_stepper(table, recipe)
    batches: list[torch.Tensor] = []
    shown: list[int] = []
    network = stepper._network.module
    network.classifier.register_forward_pre_hook(lambda _, given: batches.append(given[0].clone()))
    network.heads.contrastive.register_forward_pre_hook(
        lambda _, given: shown.append(len(given[0]))
    )
    network.heads.domain_adversarial.register_forward_pre_hook(
        lambda _, given: shown.append(len(given[0]))
    )
    stepper.step(rows, 7, 100)
    rng = np.random.default_rng(derive_seed(recipe, 0, 2, 7))
    unmixed = augmented_crops(windows.batch(rows), recipe, torch.device("cpu"), rng)
    (batch,) = batches
    assert len(batch) == 16 + 8 + 8
    torch.testing.assert_close(batch[16:24], unmixed[:8])
    # One may be paired with itself.
    assert (batch[:16] - unmixed).abs().amax(dim=(1, 2, 3)).sort().values[2] > 0.01
    # Both heads see the unmixed crops and their second views, nothing else.
    assert shown == [16, 16]
    other_view = (batch[24:] - unmixed[:8]).abs().mean()
    assert 0 < other_view < (batch[24:] - unmixed[:8].flip(0)).abs().mean() + 0.1


def test_figures_to_adapt_to_reach_the_domain_loss_alone(table: FigureTable) -> None:
    recipe = small_recipe("plain", "domain_adversarial.weight=1")
    windows = read_windows(table, recipe)
    there = np.zeros(len(windows), dtype=np.int64)  # sorted before the phantom's
    stepper = start_stepper(
        table,
        recipe,
        unlabelled=UnlabelledFigures(windows, there),
        further_domains=("another laboratory",),
    )
    asked: list[torch.Tensor] = []
    network = stepper._network.module
    network.heads.domain_adversarial.register_forward_pre_hook(
        lambda _, given: asked.append(given[0])
    )
    parts = stepper.step(np.arange(16), 50, 100)
    assert len(asked[0]) == 16 + 4
    assert parts["loss"] == pytest.approx(parts["class"] + parts["domain_adversarial"], rel=1e-5)


def _limit_memory(stepper: MemberStepper, most: int) -> list[int]:
    """Let a stepper see at most so many figures of a batch at once; record what it was shown."""
    shown: list[int] = []
    whole = stepper._losses

    def losses(piece, done):  # type: ignore[no-untyped-def]
        if len(piece.rows) > most:
            raise torch.OutOfMemoryError("a test")
        shown.append(len(piece.rows))
        return whole(piece, done)

    stepper._losses = losses  # type: ignore[method-assign]
    return shown


def test_a_batch_too_large_for_the_memory_is_shown_in_pieces_with_the_same_step(
    table: FigureTable,
) -> None:
    """With frozen batch statistics and no pairs within a batch, pieces change nothing."""
    recipe = small_recipe(
        "seed", "contrastive.weight=0", "head.dropout=0", "mixup.alpha=0.5", "phase.weight=0.5"
    )
    windows, figures = read_windows(table, recipe), training_figures(table, recipe.soft_labels)
    unlabelled = UnlabelledFigures(windows, figures.domain)
    found = []
    for most in (16, 5):
        stepper = start_stepper(table, recipe, unlabelled=unlabelled)
        shown = _limit_memory(stepper, most)
        parts = [stepper.step(np.arange(16) + 16 * step, step, 100) for step in range(3)]
        found.append((parts, stepper.current.saved_state()))
    assert shown == [4] * 12
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    for name, tensor in found[0][1].items():
        torch.testing.assert_close(tensor, found[1][1][name], rtol=1e-3, atol=2e-4)


def test_where_not_one_figure_fits_it_says_so(table: FigureTable) -> None:
    recipe = small_recipe("plain")
    stepper = start_stepper(table, recipe)
    _limit_memory(stepper, 0)
    with pytest.raises(AtypiaError, match="not enough memory for one figure of 32 px"):
        stepper.step(np.arange(16), 0, 100)


def test_the_learning_rate_rises_and_falls_to_nothing(table: FigureTable) -> None:
    recipe = small_recipe("plain", *BASE, "schedule.warmup=0.5")
    stepper = start_stepper(table, recipe)
    rates = []
    for step in range(8):
        stepper.step(np.arange(16), step, 8)
        rates.append(stepper.rates()["learning_rate"])
    peak = recipe.schedule.learning_rate
    assert rates[:4] == pytest.approx([peak * share for share in (0.25, 0.5, 0.75, 1.0)])
    cosine = [0.5 * (1 + np.cos(np.pi * done / 4)) for done in range(4)]
    assert rates[4:] == pytest.approx([peak * share for share in cosine])


def test_heads_learn_at_their_own_rates_and_biases_do_not_decay(table: FigureTable) -> None:
    recipe = small_recipe("plain", *BASE)
    stepper = start_stepper(table, recipe)
    network = stepper._network.module
    groups = stepper._optimizer.param_groups
    rate = {id(tensor): group["peak"] for group in groups for tensor in group["params"]}
    decay = {id(tensor): group["weight_decay"] for group in groups for tensor in group["params"]}
    schedule = recipe.schedule
    for name, tensor in network.named_parameters():
        expected = schedule.head_learning_rate
        if name.startswith("classifier.backbone."):
            expected = schedule.learning_rate
        elif name.startswith("heads.domain_adversarial."):
            expected = 5 * schedule.head_learning_rate
        assert rate[id(tensor)] == pytest.approx(expected), name
        assert decay[id(tensor)] == (schedule.weight_decay if tensor.ndim > 1 else 0.0), name


def test_gradient_checkpointing_is_switched_on(table: FigureTable) -> None:
    def recomputes(*changes: str) -> bool:
        stepper = start_stepper(table, small_recipe("plain", *BASE, *changes))
        modules = stepper._network.module.classifier.backbone.modules()
        return any(getattr(module, "grad_checkpointing", False) for module in modules)

    assert recomputes("schedule.gradient_checkpointing=true")
    assert not recomputes()
