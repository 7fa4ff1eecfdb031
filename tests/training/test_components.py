"""The components inside a training: what each sees, and that a stop leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError, RecipeError
from atypia.training import loop
from atypia.training.batches import augmented_crops, read_windows
from atypia.training.components.base import Material
from atypia.training.figures import (
    TrainingFigures,
    UnlabelledFigures,
    fit_targets,
    training_figures,
)
from atypia.training.loop import MemberInputs, Progress, train_member
from atypia.training.member import Member
from atypia.training.recipe import Recipe
from atypia.training.recipe_file import read_recipe
from atypia.training.requirements import require_components_work
from atypia.training.stepper import MemberStepper, seed_of

SMALL = [
    "backbone.input_px=32",
    "backbone.pretrained=false",
    "schedule.epochs=3",
    "schedule.min_steps=1",
    "schedule.batch_size=16",
    "schedule.precision=32-true",
]
ALL_ALIKE = np.full(90, 1 / 90)
EVERYTHING = ["phase.weight=0.5", "soft_labels.method=dawid-skene"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    folder = tmp_path_factory.mktemp("cohort")
    return make_phantom(folder, figures=90, domains=3, slides_per_domain=6, size_px=96, seed=0)


def _held_out(table: FigureTable) -> np.ndarray:
    """Return the figures of the first slide of each domain."""
    return np.flatnonzero(table.frame["slide"].str.endswith("s01"))


def _recipe(name: str, *changes: str) -> Recipe:
    return read_recipe(name, [*SMALL, *changes])


def _fabric(recipe: Recipe) -> Fabric:
    return Fabric(accelerator="cpu", devices=1, precision=recipe.schedule.precision)


def _train(
    table: FigureTable,
    recipe: Recipe,
    folder: Path,
    *,
    unlabelled: UnlabelledFigures | None = None,
    figures: TrainingFigures | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Member:
    torch.set_num_threads(1)
    return train_member(
        MemberInputs(
            recipe,
            read_windows(table, recipe),
            figures or training_figures(table, recipe.soft_labels),
            _fabric(recipe),
            unlabelled,
        ),
        _held_out(table),
        folder,
        member=0,
        identity="a test",
        on_progress=on_progress,
    )


def test_everything_together_stopped_anywhere_ends_to_the_bit(
    table: FigureTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _recipe("seed", *EVERYTHING)
    whole = _train(table, recipe, tmp_path / "whole")
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)

    class StopError(Exception):
        pass

    def stop_at(step: int) -> Callable[[Progress], None]:
        def told(at: Progress) -> None:
            if at.step == step:
                raise StopError

        return told

    for step in (2, 4, 5):
        with pytest.raises(StopError):
            _train(table, recipe, tmp_path / "stopped", on_progress=stop_at(step))
    stopped = _train(table, recipe, tmp_path / "stopped")
    assert whole.state.keys() == stopped.state.keys()
    for name, tensor in whole.state.items():
        assert torch.equal(tensor, stopped.state[name]), name
    np.testing.assert_array_equal(whole.logit, stopped.logit)
    np.testing.assert_array_equal(whole.hardness, stopped.hardness)
    assert whole.probe == stopped.probe
    again = _train(table, recipe, tmp_path / "whole")  # read back, not trained
    np.testing.assert_array_equal(again.hardness, whole.hardness)
    np.testing.assert_array_equal(again.phase, whole.phase)
    assert again.probe == whole.probe


def test_its_record_tells_of_every_component(table: FigureTable, tmp_path: Path) -> None:
    seen: list[Progress] = []
    recipe = _recipe("seed", *EVERYTHING)
    member = _train(table, recipe, tmp_path, on_progress=seen.append)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = ("loss_class", "loss_contrastive", "loss_domain_adversarial", "loss_phase")
    for name in (*losses, "mined", "gamma_bin_5"):
        assert all(np.isfinite(line[name]) for line in lines[:-1]), name
    assert lines[0]["gamma_bin_1"] != 1.0
    assert lines[-1]["domain_probe_chance"] == pytest.approx(1 / 3)
    assert len(seen[-1].gamma) == 5
    assert member.phase.shape == (len(_held_out(table)), 8)
    normal = np.isfinite(member.hardness)
    assert not normal[_held_out(table)].any()
    assert 20 < normal.sum() < 75


def test_mixup_leaves_metric_and_domain_losses_on_unmixed_figures(table: FigureTable) -> None:
    recipe = _recipe("seed", "mixup.alpha=1", "adapter.kind=full")
    windows, figures = read_windows(table, recipe), training_figures(table, recipe.soft_labels)
    rows = np.arange(16)
    fabric = _fabric(recipe)
    stepper = MemberStepper(recipe, 0, fabric, windows, figures, ALL_ALIKE, None)
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
    rng = np.random.default_rng(seed_of(recipe, 0, 2, 7))
    unmixed = augmented_crops(windows.batch(rows), recipe, fabric.device, rng)
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
    recipe = _recipe("plain", "domain_adversarial.weight=1")
    windows = read_windows(table, recipe)
    own = training_figures(table, recipe.soft_labels, ["another laboratory"])
    assert own.domains[0] == "another laboratory"
    there = np.zeros(len(windows), dtype=np.int64)
    stepper = MemberStepper(
        recipe, 0, _fabric(recipe), windows, own, ALL_ALIKE, UnlabelledFigures(windows, there)
    )
    asked: list[torch.Tensor] = []
    network = stepper._network.module
    network.heads.domain_adversarial.register_forward_pre_hook(
        lambda _, given: asked.append(given[0])
    )
    parts = stepper.step(np.arange(16), 50, 100)
    assert len(asked[0]) == 16 + 4
    assert parts["loss"] == pytest.approx(parts["class"] + parts["domain_adversarial"], rel=1e-5)


def test_dawid_skene_is_fitted_on_training_figures_alone(table: FigureTable) -> None:
    recipe = _recipe("plain", "soft_labels.method=dawid-skene")
    figures = training_figures(table, recipe.soft_labels)
    rows = np.arange(24, 90)
    before = fit_targets(figures, rows, recipe.soft_labels)
    votes = figures.votes.copy()
    votes[:24] = 1 - votes[:24]
    after = fit_targets(replace(figures, votes=votes), rows, recipe.soft_labels)
    np.testing.assert_array_equal(before.target[rows], after.target[rows])
    assert np.any(before.target[rows] != figures.target[rows])


def test_cases_set_aside_for_gamma_are_not_trained_on(table: FigureTable) -> None:
    recipe = _recipe("plain", "focal.adaptive=true", "focal.calibration_share=0.25")
    figures = training_figures(table, recipe.soft_labels)
    everything = Material(figures, np.arange(90), None, recipe.seed)
    rows, aside = recipe.focal.calibration_rows(everything)
    assert not set(figures.case[rows]) & set(figures.case[aside])
    assert sorted([*rows, *aside]) == list(range(90))
    assert 10 <= len(aside) <= 35
    everyone, nobody = _recipe("plain").focal.calibration_rows(everything)
    assert len(everyone) == 90
    assert not len(nobody)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("domain_adversarial.weight=1", "one domain .*a second domain.*domain_adversarial.weight=0"),
        ("phase.weight=1", "no training figure has a phase.*phase.weight=0"),
        ("focal.adaptive=true", "cases are too few .*focal.adaptive=false"),
        (
            "contrastive.weight=1",
            "no class has unanimous figures on two slides.*contrastive.weight=0",
        ),
    ],
)
def test_a_component_without_anything_to_work_on_is_refused(
    table: FigureTable, change: str, said: str
) -> None:
    recipe = _recipe("plain", change)
    figures = training_figures(table, recipe.soft_labels)
    rows = np.flatnonzero((figures.domain == 0) & (figures.slide == figures.slide[0]))
    bare = replace(figures, phase=figures.phase * 0)
    with pytest.raises(RecipeError, match=said):
        require_components_work(recipe, bare, rows, None)
    require_components_work(_recipe("plain"), bare, rows, None)


def test_figures_to_adapt_to_without_a_domain_loss_are_refused(table: FigureTable) -> None:
    recipe = _recipe("plain")
    figures = training_figures(table, recipe.soft_labels)
    with pytest.raises(
        RecipeError, match=r"domain_adversarial\.weight is 0.*domain_adversarial\.weight=0\.1"
    ):
        require_components_work(recipe, figures, np.arange(90), figures.domain)


def test_a_second_domain_may_come_from_the_figures_to_adapt_to(table: FigureTable) -> None:
    recipe = _recipe("plain", "domain_adversarial.weight=1")
    figures = training_figures(table, recipe.soft_labels)
    rows = np.flatnonzero(figures.domain == 0)
    require_components_work(recipe, figures, rows, figures.domain)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["contrastive.weight=1", "schedule.batch_size=4"], "too small to hold pairs"),
        (
            ["contrastive.weight=1", "adapter.kind=linear"],
            "contrastive.weight 1 with adapter.kind 'linear'",
        ),
        (
            ["domain_adversarial.weight=1", "adapter.kind=linear"],
            "domain_adversarial.weight 1 with adapter.kind 'linear'",
        ),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_with_the_reason(
    changes: list[str], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        read_recipe("plain", changes)


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
    recipe = _recipe(
        "seed", "contrastive.weight=0", "head.dropout=0", "mixup.alpha=0.5", "phase.weight=0.5"
    )
    windows, figures = read_windows(table, recipe), training_figures(table, recipe.soft_labels)
    unlabelled = UnlabelledFigures(windows, figures.domain)
    found = []
    for most in (16, 5):
        torch.set_num_threads(1)
        stepper = MemberStepper(recipe, 0, _fabric(recipe), windows, figures, ALL_ALIKE, unlabelled)
        shown = _limit_memory(stepper, most)
        parts = [stepper.step(np.arange(16) + 16 * step, step, 100) for step in range(3)]
        found.append((parts, stepper.current.saved_state()))
    assert shown == [4] * 12
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    for name, tensor in found[0][1].items():
        torch.testing.assert_close(tensor, found[1][1][name], rtol=1e-3, atol=2e-4)


def test_where_not_one_figure_fits_it_says_so(table: FigureTable) -> None:
    recipe = _recipe("plain")
    windows, figures = read_windows(table, recipe), training_figures(table, recipe.soft_labels)
    stepper = MemberStepper(recipe, 0, _fabric(recipe), windows, figures, ALL_ALIKE, None)
    _limit_memory(stepper, 0)
    with pytest.raises(AtypiaError, match="not enough memory for one figure of 32 px"):
        stepper.step(np.arange(16), 0, 100)
