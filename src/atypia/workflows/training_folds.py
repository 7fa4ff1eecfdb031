"""Which figures each member of a training does not see: folds, and domains left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atypia.data.domains import short_domain_names
from atypia.data.splits import domain_folds, slide_folds
from atypia.data.table import FigureTable, figures_without_slide
from atypia.errors import RecipeError, TableError
from atypia.training.figures import TrainingFigures
from atypia.training.loop import epochs_for
from atypia.training.recipe import Recipe
from atypia.training.requirements import require_components_work, step_back


@dataclass(frozen=True)
class Seat:
    """A member to be trained.

    Attributes:
        part: of the figures, which it does not see.
        name: what its training is called.
        folder: of it, relative to the run's.
        number: decides its draws.
    """

    part: int
    name: str
    folder: str
    number: int


@dataclass(frozen=True)
class Folds:
    """A division of all N figures; as many members are trained without each part.

    Attributes:
        of: (N,) int64, the part of each figure.
        names: what training without each part is called.
        told: what the parts are, in words.
        seats: the members, one for each part, then the second ones.
    """

    of: npt.NDArray[np.int64]
    names: list[str]
    told: str
    seats: list[Seat]


def plan_members(
    table: FigureTable,
    figures: TrainingFigures,
    recipe: Recipe,
    adapt_to: npt.NDArray[np.int64] | None,
) -> tuple[Recipe, list[Folds], list[str]]:
    """Decide which members are trained; what cannot work on these figures steps back or is refused.

    Args:
        table: N figures.
        figures: the same, as training sees them.
        recipe: what decides the training.
        adapt_to: domains of the unlabelled figures to adapt to, if there are any.

    Returns:
        The recipe that is trained; the folds and, where it asks for them as well, the domains left
        out; and a line for everything that is not as the recipe asked.

    Raises:
        TableError: there is one case, or without a part, one class only is left.
        RecipeError: a component that was asked for by name cannot work on these figures.
    """
    notes = []
    key = "folds.left_out_domains"
    if recipe.folds.left_out_domains and not recipe.asks_for(key):
        try:
            _require_classes(_without_domains(table, recipe, "left_out", 0), figures)
        except TableError as lack:
            recipe = recipe.changed(key, False)
            notes.append(f"{key} is off for this training: {lack}")
    parts = divisions(table, recipe)
    rows = [np.flatnonzero(folds.of != part) for folds in parts for part in range(len(folds.names))]
    recipe, lacks = step_back(recipe, figures, rows, adapt_to)
    for folds in parts:
        require_trainable(recipe, figures, folds, adapt_to)
    schedule = recipe.schedule
    epochs = {epochs_for(schedule, len(one)) for one in rows} - {schedule.epochs}
    if epochs:
        notes.append(
            f"schedule.epochs {schedule.epochs}: trained for {max(epochs)} epochs instead, as "
            f"these are few figures and schedule.least_steps is {schedule.least_steps}; set "
            "schedule.least_steps=1 for the epochs alone"
        )
    off = [f"{key} is off for this training: {lack}" for key, lack in lacks.items()]
    return recipe, parts, [*off, *notes]


def divisions(table: FigureTable, recipe: Recipe) -> list[Folds]:
    """Return the folds, and the domains left out where the recipe asks for them as well.

    Raises:
        TableError: there is one case, or domains are to be left out and there is one domain.
    """
    if recipe.folds.scheme == "domains":
        return [_without_domains(table, recipe, "folds", 0)]
    count = min(recipe.folds.count, table.frame["case"].nunique())
    of = slide_folds(table.frame, count, recipe.seed)
    names = [f"fold {fold + 1} of {count}" for fold in range(count)]
    folds = Folds(of, names, _kept_together(table), _seats(names, "folds", recipe, 0))
    if not recipe.folds.left_out_domains:
        return [folds]
    return [folds, _without_domains(table, recipe, "left_out", len(folds.seats))]


def _kept_together(table: FigureTable) -> str:
    alone = figures_without_slide(table)
    if alone == len(table):
        return "folds by figures, which name no slide"
    return "folds by slides" + (f" ({alone} figures name no slide)" if alone else "")


def _without_domains(table: FigureTable, recipe: Recipe, folder: str, first: int) -> Folds:
    of, names = domain_folds(table.frame)
    short = short_domain_names(names)
    told = [f"without {short[name]}" for name in names]
    return Folds(of, told, "domains left out", _seats(told, folder, recipe, first))


def _seats(names: list[str], folder: str, recipe: Recipe, first: int) -> list[Seat]:
    found: list[Seat] = []
    for turn in range(recipe.folds.members):
        told, ending = (f", member {turn + 1}", f"-{turn + 1}") if turn else ("", "")
        for part, name in enumerate(names):
            place = f"{folder}/{part}{ending}"
            found.append(Seat(part, f"{name}{told}", place, first + len(found)))
    return found


def require_trainable(
    recipe: Recipe,
    figures: TrainingFigures,
    folds: Folds,
    adapt_to: npt.NDArray[np.int64] | None,
) -> None:
    """Refuse parts without which nothing can be trained or calibrated, before any work.

    Args:
        recipe: what decides the training.
        figures: all N.
        folds: of them.
        adapt_to: domains of the unlabelled figures to adapt to, if there are any.

    Raises:
        TableError: without a part, one class only is left.
        RecipeError: without a part, a component has nothing to work on.
    """
    _require_classes(folds, figures)
    for part, name in enumerate(folds.names):
        rest = np.flatnonzero(folds.of != part)
        try:
            require_components_work(recipe, figures, rest, adapt_to)
        except RecipeError as refused:
            raise RecipeError(f"{name}: {refused}") from None


def _require_classes(folds: Folds, figures: TrainingFigures) -> None:
    for part, name in enumerate(folds.names):
        rest = np.flatnonzero(folds.of != part)
        for word, value in (("atypical", 1.0), ("normal", 0.0)):
            if not (figures.truth[rest] == value).any():
                raise TableError(
                    f"{name}: no {word} figure is left to train on; add {word} figures of other "
                    "cases, or change the recipe's section folds"
                )
