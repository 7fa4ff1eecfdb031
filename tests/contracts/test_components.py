"""What holds for every component of a recipe; a new one is picked up by its section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable
from atypia.errors import RecipeError
from atypia.training.components.base import Component, Material
from atypia.training.figures import training_figures
from atypia.training.recipe import Recipe, loss_components
from atypia.training.requirements import require_components_work
from small_training import small_recipe, start_stepper

FULL = ("adapter.kind=full", "phase.weight=0")
LOSSES = sorted(loss_components())
COMPONENTS = sorted(
    name
    for name, field in Recipe.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Component)
)
STEPS, OF = 3, 20


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    folder = tmp_path_factory.mktemp("cohort")
    return make_phantom(folder, figures=64, domains=2, slides_per_domain=4, size_px=96, seed=0)


def _steps(
    table: FigureTable, *changes: str
) -> tuple[list[dict[str, float]], Mapping[str, torch.Tensor]]:
    """Train three steps; return the parts of the loss of each, and the weights that are kept."""
    stepper = start_stepper(table, small_recipe("plain", *FULL, *changes))
    rows = np.arange(16)
    parts = [stepper.step((rows + 16 * step) % 64, step, OF) for step in range(STEPS)]
    return parts, stepper.bundle_state()


@pytest.fixture(scope="module")
def without(table: FigureTable) -> Mapping[str, torch.Tensor]:
    return _steps(table)[1]


def _differs(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return any(not torch.equal(one[name], other[name]) for name in one.keys() & other.keys())


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_is_off_leaves_the_weights_as_they_are(
    table: FigureTable, without: Mapping[str, torch.Tensor], name: str
) -> None:
    _, kept = _steps(table, f"{name}.weight=0")
    assert not _differs(kept, without)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_is_on_changes_the_backbone_and_is_recorded(
    table: FigureTable, without: Mapping[str, torch.Tensor], name: str
) -> None:
    parts, kept = _steps(table, f"{name}.weight=1")
    assert all(np.isfinite(part[name]) for part in parts)
    assert parts[-1]["loss"] == pytest.approx(parts[-1]["class"] + parts[-1][name], rel=1e-5)
    backbone = {key: tensor for key, tensor in kept.items() if key.startswith("backbone.")}
    assert backbone
    assert _differs(backbone, without)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_counts_by_its_weight(table: FigureTable, name: str) -> None:
    _, light = _steps(table, f"{name}.weight=0.1")
    _, heavy = _steps(table, f"{name}.weight=1")
    assert _differs(light, heavy)


@pytest.mark.parametrize("name", COMPONENTS)
def test_what_a_component_lacks_is_told_by_its_key_and_how_to_switch_it_off(
    table: FigureTable, name: str
) -> None:
    on = small_recipe("plain", *FULL, *_switched_on(name))
    figures = training_figures(table, on.soft_labels)
    # Normal figures of one slide, without a phase: nothing can be learned from them but the class.
    rows = np.flatnonzero((figures.slide == figures.slide[0]) & ~figures.atypical)
    object.__setattr__(figures, "phase", figures.phase * 0)
    key = f"{name}.{getattr(on, name).switch}"
    with pytest.raises(RecipeError, match=rf"^{key} .*; .*, or set {key}=(0|false)$"):
        require_components_work(on, figures, rows, None)
    off = small_recipe("plain", *FULL)
    assert getattr(off, name).find_lack(Material(figures, rows, None, 0)) is None


def _switched_on(name: str) -> Iterator[str]:
    component = getattr(Recipe(), name)
    yield f"{name}.{component.switch}={'true' if component.off is False else '1'}"


def test_the_losses_are_those_of_the_method() -> None:
    assert {"phase", "contrastive", "domain_adversarial"} <= set(LOSSES)
    assert "focal" in COMPONENTS


def test_every_component_has_a_test_of_its_own() -> None:
    folder = Path(__file__).parents[1] / "training" / "components"
    assert all((folder / f"test_{name}.py").is_file() for name in COMPONENTS)
