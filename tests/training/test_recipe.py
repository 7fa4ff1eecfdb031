"""A recipe fits its backbone, knows its old names, and refuses what cannot work together."""

from __future__ import annotations

import pytest
import torch
from peft.tuners.lora import LoraLayer
from pydantic import ValidationError

from atypia.errors import RecipeError
from atypia.models.adapters import adapt
from atypia.models.backbones.registry import backbone_spec
from atypia.training.recipe import CardSection, Recipe, deciding_values
from atypia.training.recipe_file import read_recipe, recipe_files


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


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["adapter.kind=linear", "backbone.tta_views=4"], "embedded once, in one orientation"),
        (["folds.scheme=domains", "folds.left_out_domains=true"], "left out already"),
    ],
)
def test_what_cannot_work_together_is_refused(changes: list[str], said: str) -> None:
    for change in changes:
        read_recipe("lite", [change])
    with pytest.raises(RecipeError, match=said):
        read_recipe("lite", changes)


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


def test_what_decides_a_training_has_the_first_name_of_every_key_and_no_card() -> None:
    recipe = Recipe(card=CardSection(data="somewhere"))
    values = deciding_values(recipe)
    assert "metric.weight" in values and "contrastive.weight" not in values
    assert "hard_negatives.times" in values
    assert not [key for key in values if key.startswith("card")]


def test_old_names_are_read_as_todays_and_not_beside_them() -> None:
    old = {"metric": {"weight": 0.5}, "hard_negatives": {"times": 3}, "backbone": {"views": 2}}
    recipe = Recipe.model_validate(old)
    assert recipe.contrastive.weight == 0.5
    assert recipe.hard_negatives.oversampling == 3
    assert recipe.backbone.tta_views == 2
    both = {"schedule": {"least_steps": 1, "min_steps": 2}}
    with pytest.raises(ValidationError, match=r"schedule\.min_steps is also set by its old name"):
        Recipe.model_validate(both)
