"""A plan of an ablation: what it gives each run, and every fault told before anything is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from atypia.errors import AtypiaError
from atypia.training.ablation import plan_files, read_plan

PLAN = """
name = "tiny"
seeds = [0, 3]
set = ["schedule.epochs=6", "mixup.alpha=0.1"]

[[arm]]
name = "a"
recipe = "lite"

[[arm]]
name = "b"
recipe = "lite"
set = ["mixup.alpha=0.4"]
against = "a"
"""


def _plan(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_arm_has_the_changes_of_the_plan_then_its_own_then_the_seed(tmp_path: Path) -> None:
    plan = read_plan(_plan(tmp_path, PLAN))
    first, second = (plan.recipe(arm, 3) for arm in plan.arms)
    assert (first.schedule.epochs, first.mixup.alpha, first.seed) == (6, 0.1, 3)
    assert (second.schedule.epochs, second.mixup.alpha, second.seed) == (6, 0.4, 3)
    assert [arm.against for arm in plan.arms] == [None, "a"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "b"', 'name = "a"', "two arms are called 'a'"),
        ('against = "a"', 'against = "aa"', "no arm of the plan; .*; did you mean a\\?"),
        ('against = "a"', 'against = "b"', "against names the arm itself"),
        ("[0, 3]", "[0, 3, 0]", "seeds contains 0 twice"),
        ("[0, 3]", "[-1]", "seeds.0 is -1"),
        ("[0, 3]", "[]", "seeds is"),
        ("alpha=0.4", "alhpa=0.4", "arm 'b': .*unknown key 'mixup.alhpa'; .* mean alpha\\?"),
        ('recipe = "lite"', 'recipe = "lit"', "arm 'a': recipe 'lit' is neither"),
        ("against", "agianst", "unknown key 'arm.1.agianst' .*against"),
        ('name = "tiny"', "", "name is missing"),
        ("seeds = ", "seeds ", "is not a TOML file"),
    ],
)
def test_a_fault_is_told_with_the_file_and_what_was_expected(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(AtypiaError, match=said) as told:
        read_plan(_plan(tmp_path, PLAN.replace(old, new)))
    assert all(line.startswith(str(tmp_path)) for line in str(told.value).splitlines())


def test_all_faults_are_told_at_once_and_one_of_the_whole_plan_once(tmp_path: Path) -> None:
    faulty = PLAN.replace("epochs=6", "epochs=0").replace('against = "a"', 'against = "z"')
    with pytest.raises(AtypiaError) as told:
        read_plan(_plan(tmp_path, faulty))
    lines = str(told.value).splitlines()
    assert len(lines) == 2
    assert sum("schedule.epochs" in line for line in lines) == 1


def test_a_plan_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(AtypiaError, match="did you mean components"):
        read_plan("component")


def test_every_plan_that_comes_with_atypia_can_be_read() -> None:
    assert "components" in plan_files()
    for path in plan_files().values():
        plan = read_plan(path)
        search = plan.domain_groups is not None
        assert search or len(plan.seeds) >= 3  # fewer say nothing of the spread


@pytest.mark.parametrize("value", ["[" * 3000 + "]" * 3000, "9" * 5000])
def test_a_plan_that_the_parser_gives_up_on_is_one_line(tmp_path: Path, value: str) -> None:
    with pytest.raises(AtypiaError) as refused:
        read_plan(_plan(tmp_path, f"{PLAN}\nodd = {value}\n"))
    assert "\n" not in str(refused.value)


def test_an_arm_with_a_recipe_of_a_very_long_name_is_named(tmp_path: Path) -> None:
    with pytest.raises(AtypiaError, match=r"arm 'a': recipe 'xxx.*\.\.\.' is neither a file"):
        read_plan(_plan(tmp_path, PLAN.replace('"lite"', f'"{"x" * 5000}"', 1)))
