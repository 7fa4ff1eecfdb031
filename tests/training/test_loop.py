"""A member that was stopped ends as if it had not been, with all that it knows about itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError
from atypia.training.batches import read_windows
from atypia.training.checkpoint import read_checkpoint, save_checkpoint
from atypia.training.devices import open_fabric
from atypia.training.figures import training_figures
from atypia.training.loop import MemberInputs, Progress, epochs_for, train_member
from atypia.training.member import Member
from atypia.training.recipe_file import read_recipe

ADAPTIVE = [
    "backbone.input_px=32",
    "backbone.pretrained=false",
    "schedule.epochs=3",
    "schedule.min_steps=1",
    "schedule.batch_size=16",
    "schedule.precision=32-true",
    "adapter.kind=full",
    "focal.adaptive=true",
    "focal.gamma=1",
    "phase.weight=0",
]


class StopError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    folder = tmp_path_factory.mktemp("cohort")
    return make_phantom(folder, figures=48, domains=1, slides_per_domain=8, size_px=48, seed=0)


def _train(table: FigureTable, folder: Path, stop_at: int = 0) -> Member:
    torch.set_num_threads(1)
    recipe = read_recipe("lite", ADAPTIVE)

    def watch(at: Progress) -> None:
        if at.step == stop_at:
            raise StopError

    return train_member(
        MemberInputs(
            recipe,
            read_windows(table, recipe),
            training_figures(table, recipe.soft_labels),
            open_fabric("cpu", recipe.schedule),
        ),
        np.arange(8),
        folder,
        member=0,
        identity="a test",
        on_progress=watch,
    )


def test_gammas_of_all_epochs_outlive_a_stop(table: FigureTable, tmp_path: Path) -> None:
    whole = _train(table, tmp_path / "whole")
    assert whole.gammas is not None and whole.gammas.shape == (3, 5)
    assert len(np.unique(whole.gammas, axis=0)) == 3
    with pytest.raises(StopError):
        _train(table, tmp_path / "stopped", stop_at=5)
    stopped = _train(table, tmp_path / "stopped")
    np.testing.assert_array_equal(stopped.gammas, whole.gammas)
    again = _train(table, tmp_path / "whole")  # read back
    np.testing.assert_array_equal(again.gammas, whole.gammas)


def test_a_checkpoint_whose_content_is_not_known_is_named(
    table: FigureTable, tmp_path: Path
) -> None:
    with pytest.raises(StopError):
        _train(table, tmp_path, stop_at=4)
    path = tmp_path / "checkpoint.pt"
    state = read_checkpoint(path)
    assert state is not None
    del state["work"]["trainee"]
    save_checkpoint(path, state)
    with pytest.raises(AtypiaError, match=r"checkpoint\.pt: was written by an incompatible version"):
        _train(table, tmp_path)


@pytest.mark.parametrize(
    ("figures", "min_steps", "epochs"), [(160, 1, 2), (160, 25, 3), (16, 7, 7), (17, 7, 4)]
)
def test_a_small_set_is_shown_for_whole_epochs_until_there_are_steps_enough(
    figures: int, min_steps: int, epochs: int
) -> None:
    changes = ["schedule.epochs=2", "schedule.batch_size=16", f"schedule.min_steps={min_steps}"]
    assert epochs_for(read_recipe("lite", changes).schedule, figures) == epochs
