"""What nobody asked for by name steps back where it cannot work; what was asked for is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from atypia.data.phantom import make_phantom
from atypia.data.readers.open_figures import open_figures
from atypia.data.table import FigureTable, figures_from_frame
from atypia.errors import RecipeError, TableError
from atypia.training.recipe import Recipe
from atypia.training.recipe_file import read_recipe, recipe_files, to_toml
from atypia.workflows.training.plan import plan_training


@pytest.fixture(scope="module")
def two_folders(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    """What the README promises to train on: crops in two folders, and nothing else known."""
    folder = tmp_path_factory.mktemp("my_crops")
    rng = np.random.default_rng(0)
    for kind, count in (("normal", 12), ("atypical", 8)):
        (folder / kind).mkdir()
        for number in range(count):
            pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / kind / f"{number}.png")
    return open_figures(folder, mpp=0.25)


@pytest.mark.parametrize("name", list(recipe_files()))
def test_every_recipe_of_atypia_can_train_on_two_folders_of_crops(
    two_folders: FigureTable, name: str
) -> None:
    plan = plan_training(two_folders, read_recipe(name))
    asked = read_recipe(name)
    for key in ("phase.weight", "domain_adversarial.weight"):
        if asked.value(key):
            assert not plan.recipe.value(key)
            off = f"{key} is off in this training: "
            assert any(note.startswith(off) for note in plan.notes)
    assert list(plan.schemes) == ["folds", *(["whole"] if asked.folds.bundle == "whole" else [])]


def test_a_recipe_that_leaves_domains_out_takes_what_there_is(two_folders: FigureTable) -> None:
    recipe = read_recipe("atypia-lite", ["schedule.min_steps=1"])
    one = plan_training(two_folders, recipe)
    assert one.recipe.folds.scheme == "slides"
    (note,) = [note for note in one.notes if note.startswith("folds.")]
    assert note.startswith("folds.scheme is slides in this training: the table has one domain")
    frame = two_folders.frame.assign(laboratory=["A", "B"] * 10)
    two = plan_training(figures_from_frame(frame, two_folders.root), recipe)
    assert (two.recipe.folds.scheme, len(two.folds.names)) == ("domains", 2)
    assert "folds.domain_groups is off in this training: the table has 2 domains" in two.notes
    with pytest.raises(TableError, match="the table has one domain"):
        plan_training(two_folders, read_recipe("atypia-lite", ["folds.scheme=domains"]))
    asked = read_recipe("atypia-lite", ["folds.domain_groups=4"])
    with pytest.raises(TableError, match="expected 3 to 2"):
        plan_training(figures_from_frame(frame, two_folders.root), asked)


def test_the_default_recipe_says_in_a_line_that_the_phase_steps_back(
    two_folders: FigureTable,
) -> None:
    plan = plan_training(two_folders, read_recipe("lite", ["schedule.min_steps=1"]))
    assert plan.notes == ("phase.weight is off in this training: no training figure has a phase",)
    assert plan.recipe.phase.weight == 0
    assert read_recipe("lite").phase.weight > 0


@pytest.mark.parametrize("how", ["--set", "file", "Python"])
def test_what_was_asked_for_by_name_is_refused(
    two_folders: FigureTable, tmp_path: Path, how: str
) -> None:
    if how == "--set":
        recipe = read_recipe("lite", ["phase.weight=0.5"])
    elif how == "file":
        (tmp_path / "mine.toml").write_text(to_toml(read_recipe("lite")))
        recipe = read_recipe(tmp_path / "mine.toml")
    else:
        recipe = Recipe.model_validate({"phase": {"weight": 0.5}})
    with pytest.raises(
        RecipeError, match=r"phase\.weight 0\.5: no training figure .* or set phase\.weight=0"
    ):
        plan_training(two_folders, recipe)


def test_a_recipe_that_stepped_back_is_another_one_than_that_which_did_not(
    two_folders: FigureTable,
) -> None:
    recipe = plan_training(two_folders, read_recipe("lite")).recipe
    assert "weight = 0.0" in to_toml(recipe).split("[phase]")[1]
    assert recipe != read_recipe("lite")
    assert recipe == read_recipe("lite", ["phase.weight=0"])


def test_epochs_that_a_small_set_gets_more_of_are_named(two_folders: FigureTable) -> None:
    recipe = read_recipe("lite", ["schedule.epochs=1", "phase.weight=0"])
    (note,) = plan_training(two_folders, recipe).notes
    assert "schedule.epochs 1: training for 300 epochs instead" in note
    assert "schedule.min_steps=1" in note


def test_domains_are_left_out_in_as_many_groups_as_the_recipe_says(tmp_path: Path) -> None:
    cohort = make_phantom(tmp_path, figures=60, domains=4, slides_per_domain=3, size_px=64)
    changes = ["folds.left_out_domains=true", "folds.domain_groups=3", "folds.bundle=whole"]
    plan = plan_training(cohort, read_recipe("lite", changes))
    assert plan.left_out is not None
    assert [name.count(";") for name in plan.left_out.names] == [1, 0, 0]
    assert plan.left_out.description == "groups of the 4 domains left out"
    domains = pd.Series(plan.figures.domain).groupby(plan.left_out.part_of).nunique()
    assert list(domains) == [2, 1, 1]
    assert [member.number for member in plan.members] == list(range(5 + 3 + 1))
    assert plan.shipped == "whole"
    assert len(plan.schemes["whole"].held_out(0)) == 0
    assert len(plan.schemes["whole"].trained_on(0)) == len(cohort)
