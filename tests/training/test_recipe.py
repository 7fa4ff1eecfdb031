"""Recipes are read, changed, refused with help, and written out to the same again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer

from atypia.errors import RecipeError
from atypia.models.adapters import adapt
from atypia.models.backbones.registry import backbone_spec
from atypia.training.recipe import CardSection, Recipe, read_recipe, recipe_files, to_toml


def test_every_recipe_that_comes_along_is_valid() -> None:
    assert "lite" in recipe_files()
    for path in recipe_files().values():
        assert read_recipe(path).name == path.stem


@pytest.mark.parametrize("name", sorted(recipe_files()))
def test_a_recipe_fits_its_backbone(name: str) -> None:
    recipe = read_recipe(name)
    spec = backbone_spec(recipe.backbone.key)
    with torch.device("meta"):
        network = adapt(spec.create(recipe.backbone.input_px), spec, recipe.adapter)
    touched = [n for n, m in network.named_modules() if isinstance(m, LoraLayer)]
    assert bool(touched) == (recipe.adapter.kind == "lora")
    if name == "h-optimus-0-benchmark":  # qkv, proj, fc1, fc2 of 40 blocks, by suffix
        assert len(touched) == 4 * 40 + 1


def test_written_out_in_full_it_reads_back_the_same(tmp_path: Path) -> None:
    recipe = read_recipe("lite", ['name=a "quoted" name', "folds.count=3", "augment.rotate=false"])
    card = CardSection(data="two\nlines, a \\ and an \u00fc", licence='"MIT"')
    recipe = recipe.model_copy(update={"card": card})
    path = tmp_path / "full.toml"
    path.write_text(to_toml(recipe), encoding="utf-8")
    assert read_recipe(path) == recipe
    assert recipe != Recipe()


def test_set_changes_one_value() -> None:
    recipe = read_recipe("lite", ["schedule.epochs=3", "soft_labels.method=majority"])
    assert recipe.schedule.epochs == 3
    assert recipe.soft_labels.method == "majority"
    assert recipe.schedule.batch_size == read_recipe("lite").schedule.batch_size


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("schedule.epoch=3", "'epochs'"),
        ("epochs=3", "'schedule.epochs'"),
        ("shedule.epochs=3", "'schedule'"),
        ("schedule.epochs=0", "schedule.epochs is 0"),
        ("schedule.epochs=many", "schedule.epochs is 'many'"),
        ("mixup.alpha=-1", "mixup.alpha is -1"),
        ("adapter.kind=lorra", "'full', 'lora' or 'linear'"),
        ("augment.shift_um=9", "augment.shift_um 9"),
        ("backbone.views=3", "backbone.views is 3; input should be 1, 2, 4 or 8"),
        ("schedule.learning_rate=nan", "schedule.learning_rate is nan"),
        ("name.first=x", "'name' is a value"),
        ("epochs", "section.key=value"),
    ],
)
def test_a_wrong_change_is_refused_with_what_would_be_right(change: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe("lite", [change])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["adapter.kind=linear", "backbone.views=4"], "embedded once, as it lies"),
        (["folds.scheme=domains", "folds.left_out_domains=true"], "left out already"),
    ],
)
def test_what_cannot_work_together_is_refused(changes: list[str], said: str) -> None:
    for change in changes:
        read_recipe("lite", [change])
    with pytest.raises(RecipeError, match=said):
        read_recipe("lite", changes)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe("lite", ["schedule.epochs=0", "mixup.alfa=1", "backbone.input_px=1"])
    assert len(str(caught.value).splitlines()) == 3


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'lite'"):
        read_recipe("lit")


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[schedule\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"broken\.toml"):
        read_recipe(path)
