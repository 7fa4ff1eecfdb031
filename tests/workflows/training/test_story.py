"""What a training did is told from what its members left."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable, figures_from_frame
from atypia.data.votes import hard_labels
from atypia.errors import RecipeError
from atypia.training.recipe_file import read_recipe
from atypia.workflows.train import train
from atypia.workflows.training.publish import TrainingRun

QUICK = [
    "adapter.kind=full",
    "mixup.alpha=0.2",
    "ema.decay=0.995",
    "folds.count=2",
    "schedule.epochs=2",
    "schedule.batch_size=16",
    "schedule.min_steps=1",
    "backbone.input_px=32",
    "backbone.pretrained=false",
]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    folder = tmp_path_factory.mktemp("cohort")
    return make_phantom(folder, figures=60, domains=2, slides_per_domain=12, size_px=96, seed=0)


@pytest.fixture(scope="module")
def run(cohort: FigureTable, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    torch.set_num_threads(1)
    changes = [*QUICK, "focal.adaptive=true", "focal.gamma=1.0", "hard_negatives.oversampling=3"]
    return train(cohort, read_recipe("lite", changes), tmp_path_factory.mktemp("run"))


def test_a_probe_a_fold_and_a_gamma_an_epoch_are_told(run: TrainingRun) -> None:
    assert list(run.story.probes) == ["fold 1 of 2", "fold 2 of 2"]
    assert all(probe.chance == 0.5 for probe in run.story.probes.values())
    assert [gamma.shape for gamma in run.story.gammas] == [(2, 5), (2, 5)]


def test_hardness_is_told_of_normal_figures_that_were_trained_on(
    cohort: FigureTable, run: TrainingRun
) -> None:
    normal = cohort.frame.loc[hard_labels(cohort.frame) == 0, "figure_id"]
    assert 0 < len(run.story.hardness) <= len(normal)
    assert set(run.story.hardness) <= set(normal)
    assert all(0 < score < 1 for score in run.story.hardness.values())


def test_the_report_of_the_run_tells_it(run: TrainingRun) -> None:
    html = run.report.read_text(encoding="utf-8")
    for said in ("Training details", "Gamma of the focal loss", "hardest negatives"):
        assert said in html


def test_a_run_that_is_read_back_tells_the_same(cohort: FigureTable, tmp_path: Path) -> None:
    recipe = read_recipe("lite", [*QUICK, "hard_negatives.oversampling=3"])
    first, again = (train(cohort, recipe, tmp_path).story for _ in range(2))
    assert again == first
    # Nothing is set aside here, so that every normal figure was trained on in one fold.
    normal = cohort.frame.loc[hard_labels(cohort.frame) == 0, "figure_id"]
    assert set(again.hardness) == set(normal)
    assert again.gammas == ()


def test_figures_to_adapt_to_are_refused_before_any_work_where_nothing_is_learned_from_them(
    cohort: FigureTable, tmp_path: Path
) -> None:
    bare = cohort.frame[["figure_id", "image", "mpp"]].assign(laboratory="ours")
    out, told = tmp_path / "run", []
    with pytest.raises(RecipeError, match=r"domain_adversarial\.weight is 0"):
        train(
            cohort,
            read_recipe("lite", QUICK),
            out,
            unlabelled=figures_from_frame(bare, cohort.root),
            on_progress=lambda task, *rest: told.append(task),
        )
    assert not out.exists()
    assert told == []
    # The one change that the message names is then enough, in the same folder.
    changes = [*QUICK, "schedule.epochs=1", "domain_adversarial.weight=0.1"]
    unlabelled = figures_from_frame(bare, cohort.root)
    assert train(cohort, read_recipe("lite", changes), out, unlabelled=unlabelled).report.is_file()
