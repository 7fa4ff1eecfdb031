"""The small recipe that tests of training share, and a member in training by it."""

from __future__ import annotations

import numpy as np
import torch

from atypia.data.table import FigureTable
from atypia.training.batches import read_windows
from atypia.training.devices import open_fabric
from atypia.training.figures import UnlabelledFigures, training_figures
from atypia.training.recipe import Recipe
from atypia.training.recipe_file import read_recipe
from atypia.training.stepper import MemberStepper

SMALL = (
    *("backbone.input_px=32", "backbone.pretrained=false"),
    *("schedule.batch_size=16", "schedule.min_steps=1", "schedule.precision=32-true"),
)


def small_recipe(name: str, *changes: str) -> Recipe:
    """Return a recipe of atypia, made small."""
    return read_recipe(name, [*SMALL, *changes])


def start_stepper(
    table: FigureTable,
    recipe: Recipe,
    *,
    shares: np.ndarray | None = None,
    unlabelled: UnlabelledFigures | None = None,
    further_domains: tuple[str, ...] = (),
) -> MemberStepper:
    """Return a member that has not taken a step; by default all figures have equal shares."""
    torch.set_num_threads(1)
    figures = training_figures(table, recipe.soft_labels, further_domains)
    if shares is None:
        shares = np.full(len(table), 1 / len(table))
    windows, fabric = read_windows(table, recipe), open_fabric("cpu", recipe.schedule)
    return MemberStepper(recipe, 0, fabric, windows, figures, shares, unlabelled)
