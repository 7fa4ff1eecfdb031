"""A member that was stopped ends as if it had not been, with all that it recorded of itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from atypia.data.table import FigureTable
from atypia.errors import AtypiaError
from atypia.training import loop
from atypia.training.batches import read_windows
from atypia.training.checkpoint import read_checkpoint, save_checkpoint
from atypia.training.devices import open_fabric
from atypia.training.figures import training_figures
from atypia.training.loop import (
    MemberInputs,
    MemberTraining,
    Progress,
    epochs_for,
    train_member,
)
from atypia.training.member import Member
from atypia.training.recipe import Recipe
from atypia.training.recipe_file import read_recipe
from small_training import small_recipe

EVERYTHING = ("schedule.epochs=3", "phase.weight=0.5", "soft_labels.method=dawid-skene")


class StopError(Exception):
    """Stands for a kill."""


def _stop_at(step: int) -> Callable[[Progress], None]:
    def watch(at: Progress) -> None:
        if at.step == step:
            raise StopError

    return watch


def _held_out(table: FigureTable) -> np.ndarray:
    """Return the figures of the first slide of each domain."""
    return np.flatnonzero(table.frame["slide"].str.endswith("s01"))


def _train(
    table: FigureTable,
    recipe: Recipe,
    folder: Path,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Member:
    torch.set_num_threads(1)
    return train_member(
        MemberInputs(
            recipe,
            read_windows(table, recipe),
            training_figures(table, recipe.soft_labels),
            open_fabric("cpu", recipe.schedule),
        ),
        _held_out(table),
        folder,
        member=0,
        identity="a test",
        on_progress=on_progress,
    )


@pytest.fixture(scope="module")
def trained(
    table: FigureTable, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Member, Path, list[Progress]]:
    """A member with every component on, its folder, and its progress."""
    folder, progress = tmp_path_factory.mktemp("whole"), list[Progress]()
    recipe = small_recipe("seed", *EVERYTHING)
    return _train(table, recipe, folder, progress.append), folder, progress


def test_everything_together_stopped_anywhere_ends_to_the_bit(
    table: FigureTable,
    trained: tuple[Member, Path, list[Progress]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, folder, _ = trained
    recipe = small_recipe("seed", *EVERYTHING)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    for step in (2, 4, 5):
        with pytest.raises(StopError):
            _train(table, recipe, tmp_path, _stop_at(step))
    stopped = _train(table, recipe, tmp_path)
    assert whole.state.keys() == stopped.state.keys()
    for name, tensor in whole.state.items():
        assert torch.equal(tensor, stopped.state[name]), name
    assert whole.gammas is not None and len(np.unique(whole.gammas, axis=0)) == 3
    again = _train(table, recipe, folder)  # read back, not trained
    for member in (stopped, again):
        np.testing.assert_array_equal(member.logit, whole.logit)
        np.testing.assert_array_equal(member.phase, whole.phase)
        np.testing.assert_array_equal(member.hardness, whole.hardness)
        np.testing.assert_array_equal(member.gammas, whole.gammas)
        assert member.probe == whole.probe


def test_its_record_tells_of_every_component(
    table: FigureTable, trained: tuple[Member, Path, list[Progress]]
) -> None:
    member, folder, progress = trained
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = ("loss_class", "loss_contrastive", "loss_domain_adversarial", "loss_phase")
    for name in (*losses, "mined", "gamma_bin_5"):
        assert all(np.isfinite(line[name]) for line in lines[:-1]), name
    assert lines[0]["gamma_bin_1"] != 1.0
    assert lines[-1]["domain_probe_chance"] == pytest.approx(1 / 3)
    assert len(progress[-1].gamma) == 5
    assert member.phase.shape == (len(_held_out(table)), 8)
    normal = np.isfinite(member.hardness)
    assert not normal[_held_out(table)].any()
    assert 20 < normal.sum() < 75


def test_a_checkpoint_whose_content_is_not_known_is_named(
    table: FigureTable, tmp_path: Path
) -> None:
    recipe = small_recipe("plain", "schedule.epochs=2")
    with pytest.raises(StopError):
        _train(table, recipe, tmp_path, _stop_at(7))
    path = tmp_path / "checkpoint.pt"
    state = read_checkpoint(path)
    assert state is not None
    del state["work"]["trainee"]
    save_checkpoint(path, state)
    with pytest.raises(
        AtypiaError, match=r"checkpoint\.pt: was written by an incompatible version"
    ):
        _train(table, recipe, tmp_path)


@pytest.mark.parametrize(
    ("figures", "min_steps", "epochs"), [(160, 1, 2), (160, 25, 3), (16, 7, 7), (17, 7, 4)]
)
def test_a_small_set_is_shown_for_whole_epochs_until_there_are_steps_enough(
    figures: int, min_steps: int, epochs: int
) -> None:
    changes = ["schedule.epochs=2", "schedule.batch_size=16", f"schedule.min_steps={min_steps}"]
    assert epochs_for(read_recipe("lite", changes).schedule, figures) == epochs


@pytest.mark.parametrize("mined", ["1", "3"])
def test_cases_that_calibration_is_measured_on_in_turns_are_not_drawn_in_their_epoch(
    table: FigureTable, mined: str
) -> None:
    recipe = small_recipe(
        "plain",
        *("focal.adaptive=true", "focal.in_turns=true", "focal.calibration_share=0.25"),
        f"hard_negatives.oversampling={mined}",
    )
    figures = training_figures(table, recipe.soft_labels)
    inputs = MemberInputs(
        recipe, read_windows(table, recipe), figures, open_fabric("cpu", recipe.schedule)
    )
    held_out = _held_out(table)
    rows = np.setdiff1d(np.arange(len(table)), held_out)
    training = MemberTraining(inputs, figures, rows, held_out, 0)
    assert training.figures == len(rows)
    aside = [np.setdiff1d(rows, np.flatnonzero(training.weights(epoch))) for epoch in range(5)]
    assert sorted(np.concatenate(aside[:4])) == list(rows)  # each is left out of one in four
    np.testing.assert_array_equal(aside[4], aside[0])
    for epoch in range(4):
        weights = training.weights(epoch)
        assert weights.sum() == pytest.approx(1)
        assert not weights[held_out].any()
        assert not set(figures.case[aside[epoch]]) & set(figures.case[weights > 0])
