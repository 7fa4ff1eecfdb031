"""Which networks teach a member: those that have not seen what it is judged by."""

from __future__ import annotations

from pathlib import Path

import pytest

from atypia.bundle.load import load_bundle
from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError, RecipeError
from atypia.training.recipe import Recipe
from atypia.workflows.train import train
from atypia.workflows.training.plan import plan_training
from atypia.workflows.training.publish import TrainingRun
from atypia.workflows.training.teachers import check_teachers, open_teachers
from small_training import small_recipe

FOLDS = (
    "adapter.kind=full",
    "folds.count=2",
    "folds.left_out_domains=true",
    "schedule.min_steps=2",
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    folder = tmp_path_factory.mktemp("cohort")
    return make_phantom(folder, figures=48, domains=2, slides_per_domain=6, size_px=64)


@pytest.fixture(scope="module")
def run(table: FigureTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "teacher"
    train(table, small_recipe("lite", *FOLDS, "schedule.epochs=1", "folds.members=2"), folder)
    return folder


def _recipe(*teachers: Path, changes: tuple[str, ...] = ()) -> Recipe:
    names = ", ".join(f'"{path}"' for path in teachers)
    return small_recipe(
        "lite", *FOLDS, "schedule.epochs=1", f"distillation.teachers=[{names}]", *changes
    )


WHOLE = ("folds.bundle=whole", "folds.left_out_domains=false")


@pytest.fixture(scope="module")
def student(table: FigureTable, run: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    folder = tmp_path_factory.mktemp("runs") / "student"
    return train(table, _recipe(run, changes=WHOLE), folder)


def test_a_member_is_taught_by_networks_without_what_it_holds_out(
    table: FigureTable, run: Path
) -> None:
    plan = plan_training(table, _recipe(run, changes=("folds.bundle=whole",)))
    (source,) = open_teachers(plan.recipe.distillation.teachers)
    assert check_teachers([source], plan) == []
    chosen = {}
    for member in plan.members:
        rows = plan.schemes[member.scheme].held_out(member.part)
        files = source.choose_files([str(plan.figures.figure_id[row]) for row in rows])
        chosen[member.scheme, member.part] = {str(file.parent.relative_to(run)) for file in files}
    assert chosen == {
        ("folds", 0): {"folds/0", "folds/0-2"},
        ("folds", 1): {"folds/1", "folds/1-2"},
        ("left_out", 0): {"left_out/0", "left_out/0-2"},
        ("left_out", 1): {"left_out/1", "left_out/1-2"},
        ("whole", 0): {"bundle/members"},
    }


def test_one_network_is_trained_on_all_figures_and_taught_by_all(
    table: FigureTable, student: TrainingRun
) -> None:
    assert len(load_bundle(student.bundle).manifest.members) == 1
    assert student.judgement.overall.figures == len(table)


def test_other_teachers_or_another_share_of_them_are_another_training(
    table: FigureTable, run: Path, student: TrainingRun
) -> None:
    folder = student.bundle.parent
    with pytest.raises(AtypiaError, match=r"another recipe \(distillation.weight"):
        train(table, _recipe(run, changes=(*WHOLE, "distillation.weight=0.9")), folder)
    with pytest.raises(AtypiaError, match="other teachers"):
        train(table, _recipe(run, run / "bundle", changes=WHOLE), folder)


def test_a_run_with_other_folds_is_refused_and_its_bundle_is_remarked(
    table: FigureTable, run: Path
) -> None:
    other = plan_training(table, _recipe(run, changes=("folds.count=3",)))
    with pytest.raises(RecipeError, match=r"trained without the figures of fold 1 of 3; train it"):
        check_teachers(open_teachers([str(run)]), other)
    (note,) = check_teachers(open_teachers([str(run / "bundle")]), other)
    assert "was trained on 48 figures of these, so out-of-fold scores will be too good" in note


def test_what_cannot_teach_is_one_line(table: FigureTable, run: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="neither a bundle nor the folder of a finished"):
        open_teachers([str(tmp_path)])
    plan = plan_training(table, _recipe(run, changes=("backbone.crop_um=12",)))
    with pytest.raises(RecipeError, match=r"looks at 16 um, and backbone.crop_um is 12"):
        check_teachers(open_teachers([str(run)]), plan)
