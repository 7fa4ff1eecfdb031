"""A component that cannot work on these figures steps back, or is refused with its remedy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from atypia.data.table import FigureTable
from atypia.errors import RecipeError
from atypia.training.figures import (
    training_figures,
)
from atypia.training.requirements import require_components_work, switch_off_components
from small_training import small_recipe


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "domain_adversarial.weight=1",
            "one domain .*a second domain.*domain_adversarial.weight=0",
        ),
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
    recipe = small_recipe("plain", change)
    figures = training_figures(table, recipe.soft_labels)
    rows = np.flatnonzero((figures.domain == 0) & (figures.slide == figures.slide[0]))
    bare = replace(figures, phase=figures.phase * 0)
    with pytest.raises(RecipeError, match=said):
        require_components_work(recipe, bare, rows, None)
    require_components_work(small_recipe("plain"), bare, rows, None)


def test_figures_to_adapt_to_without_a_domain_loss_are_refused(table: FigureTable) -> None:
    recipe = small_recipe("plain")
    figures = training_figures(table, recipe.soft_labels)
    with pytest.raises(
        RecipeError, match=r"domain_adversarial\.weight is 0.*domain_adversarial\.weight=0\.1"
    ):
        require_components_work(recipe, figures, np.arange(90), figures.domain)


def test_a_second_domain_may_come_from_the_figures_to_adapt_to(table: FigureTable) -> None:
    recipe = small_recipe("plain", "domain_adversarial.weight=1")
    figures = training_figures(table, recipe.soft_labels)
    rows = np.flatnonzero(figures.domain == 0)
    require_components_work(recipe, figures, rows, figures.domain)


def test_a_component_steps_back_unless_the_user_asked_for_it(table: FigureTable) -> None:
    recipe = small_recipe("lite", "domain_adversarial.weight=0.1")
    figures = training_figures(table, recipe.soft_labels)
    one_domain = np.flatnonzero(figures.domain == 0)
    everything = np.arange(len(table))
    assert switch_off_components(recipe, figures, [everything], None) == (recipe, {})
    bare = replace(figures, phase=figures.phase * 0)
    smaller, lacks = switch_off_components(recipe, bare, [everything, one_domain], None)
    assert lacks == {"phase.weight": "no training figure has a phase"}
    assert smaller.phase.weight == 0
    assert smaller.domain_adversarial.weight == recipe.domain_adversarial.weight > 0
    smaller, lacks = switch_off_components(recipe.with_asked(), figures, [one_domain], None)
    assert "one domain (" in lacks["domain_adversarial.weight"]
    assert smaller.domain_adversarial.weight == 0
