"""The plan of a training: its figures, and which of them each member does not see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.domains import domain_names, short_domain_names, spell_alike
from atypia.data.splits import domain_folds, select_training, slide_folds
from atypia.data.table import FigureTable, count_without_slide
from atypia.data.votes import explain_contradictions
from atypia.errors import RecipeError, TableError
from atypia.training.components.sampling import cell_shares, figure_weights
from atypia.training.figures import TrainingFigures, training_figures
from atypia.training.loop import epochs_for
from atypia.training.recipe import Recipe
from atypia.training.requirements import require_components_work, step_back

Rows = npt.NDArray[np.int64]
FOLDS, LEFT_OUT = SCHEMES = "folds", "left_out"


@dataclass(frozen=True)
class MemberSpec:
    """A member to be trained.

    Attributes:
        scheme: name of the scheme that it belongs to.
        part: of the figures, which it does not see.
        turn: 0 for the first member without this part, 1 for the second, ...
        number: decides its draws; no two members of a plan share one.
        name: what its training is called.
    """

    scheme: str
    part: int
    turn: int
    number: int
    name: str


@dataclass(frozen=True)
class Scheme:
    """A division of all N figures; as many members are trained without each part.

    Attributes:
        part_of: int64 (N,), the part of each figure.
        names: what training without each part is called.
        description: what the parts are, in words.
        members: one for each part, then the second ones.
    """

    part_of: Rows
    names: list[str]
    description: str
    members: list[MemberSpec]

    def held_out(self, part: int) -> Rows:
        """Return the rows of a part's figures."""
        return np.flatnonzero(self.part_of == part)

    def trained_on(self, part: int) -> Rows:
        """Return the rows of all other figures."""
        return np.flatnonzero(self.part_of != part)


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained, on what.

    Attributes:
        table: N figures.
        figures: the same, as training sees them.
        adapt_to: M figures of a laboratory to adapt to, if there are any.
        adapt_to_domain: int64 (M,), their domains, as positions in `figures.domains`.
        recipe: that is trained: what cannot work on these figures is off.
        folds: the scheme whose members become the bundle.
        left_out: the one that leaves out domains beside it, where the recipe asks for it.
        notes: a line for everything that is not as the recipe asked.
    """

    table: FigureTable
    figures: TrainingFigures
    adapt_to: FigureTable | None
    adapt_to_domain: Rows | None
    recipe: Recipe
    folds: Scheme
    left_out: Scheme | None
    notes: tuple[str, ...]

    @property
    def schemes(self) -> dict[str, Scheme]:
        """The schemes that there are, by name."""
        return _named(self.folds, self.left_out)

    @property
    def members(self) -> Iterator[MemberSpec]:
        """The members of all schemes."""
        return chain.from_iterable(scheme.members for scheme in self.schemes.values())


def training_tables(
    table: FigureTable, adapt_to: FigureTable | None
) -> tuple[FigureTable, FigureTable | None, list[str]]:
    """Return the training parts of both tables, domains spelt as in the first.

    Args:
        table: labelled figures.
        adapt_to: figures of a laboratory to adapt to, if there are any.

    Returns:
        Both, and a line for all that is odd about them.
    """
    table, notes = select_training(table)
    lines = [*notes, explain_contradictions(table.frame)]
    if adapt_to is not None:
        adapt_to, left_out = select_training(adapt_to)
        adapt_to = replace(adapt_to, frame=spell_alike(adapt_to.frame, table.frame))
        lines += [f"of the figures to adapt to, {note}" for note in left_out]
    return table, adapt_to, [line for line in lines if line]


def plan_training(
    table: FigureTable, recipe: Recipe, adapt_to: FigureTable | None = None
) -> TrainingPlan:
    """Decide which members are trained; what cannot work on these figures steps back or is refused.

    Args:
        table: N figures, all of them to train on (see `training_tables`).
        recipe: what decides the training.
        adapt_to: figures of a laboratory to adapt to, if there are any.

    Raises:
        TableError: there is one case, or without a part, one class only is left.
        RecipeError: a component that was asked for by name cannot work on these figures.
    """
    named = None if adapt_to is None else domain_names(adapt_to.frame).astype(str)
    further = [] if named is None else [str(name) for name in np.unique(named)]
    figures = training_figures(table, recipe.soft_labels, further)
    domain = None if named is None else np.searchsorted(figures.domains, named).astype(np.int64)
    notes = []
    key = "folds.left_out_domains"
    if recipe.folds.left_out_domains and not recipe.asks_for(key):
        try:
            _require_classes(_without_domains(table, recipe, LEFT_OUT, 0), figures)
        except TableError as lack:
            recipe = recipe.changed(key, False)
            notes.append(f"{key} is off for this training: {lack}")
    folds, left_out = divide_figures(table, recipe)
    schemes = _named(folds, left_out).values()
    rows = [scheme.trained_on(part) for scheme in schemes for part in range(len(scheme.names))]
    recipe, lacks = step_back(recipe, figures, rows, domain)
    for scheme in schemes:
        _require_trainable(recipe, figures, scheme, domain)
    schedule = recipe.schedule
    epochs = {epochs_for(schedule, len(part)) for part in rows} - {schedule.epochs}
    if epochs:
        notes.append(
            f"schedule.epochs {schedule.epochs}: trained for {max(epochs)} epochs instead, as "
            f"these are few figures and schedule.min_steps is {schedule.min_steps}; set "
            "schedule.min_steps=1 for the epochs alone"
        )
    off = [f"{key} is off for this training: {lack}" for key, lack in lacks.items()]
    return TrainingPlan(table, figures, adapt_to, domain, recipe, folds, left_out, (*off, *notes))


def expected_shares(table: FigureTable, recipe: Recipe) -> pd.DataFrame:
    """Return what an epoch will hold, one row a (domain, class): figures and expected share."""
    table = select_training(table)[0]
    figures = training_figures(table, recipe.soft_labels)
    weights = figure_weights(
        figures.domain,
        figures.atypical,
        class_balance=recipe.sampling.class_balance,
        domain_balance=recipe.sampling.domain_balance,
    )
    return cell_shares(figures.domain, figures.atypical, weights, figures.domains)


def divide_figures(table: FigureTable, recipe: Recipe) -> tuple[Scheme, Scheme | None]:
    """Return the folds, and the domains left out where the recipe asks for them as well.

    Raises:
        TableError: there is one case, or domains are to be left out and there is one domain.
    """
    if recipe.folds.scheme == "domains":
        return _without_domains(table, recipe, FOLDS, 0), None
    count = min(recipe.folds.count, table.frame["case"].nunique())
    part_of = slide_folds(table.frame, count, recipe.seed)
    names = [f"fold {fold + 1} of {count}" for fold in range(count)]
    folds = Scheme(part_of, names, _kept_together(table), _members(names, FOLDS, recipe, 0))
    if not recipe.folds.left_out_domains:
        return folds, None
    return folds, _without_domains(table, recipe, LEFT_OUT, len(folds.members))


def _named(folds: Scheme, left_out: Scheme | None) -> dict[str, Scheme]:
    schemes = zip(SCHEMES, (folds, left_out), strict=True)
    return {name: scheme for name, scheme in schemes if scheme is not None}


def _kept_together(table: FigureTable) -> str:
    alone = count_without_slide(table)
    if alone == len(table):
        return "folds by figures, which name no slide"
    return "folds by slides" + (f" ({alone} figures name no slide)" if alone else "")


def _without_domains(table: FigureTable, recipe: Recipe, scheme: str, first: int) -> Scheme:
    part_of, domains = domain_folds(table.frame)
    short = short_domain_names(domains)
    names = [f"without {short[name]}" for name in domains]
    members = _members(names, scheme, recipe, first)
    return Scheme(part_of, names, "domains left out", members)


def _members(names: list[str], scheme: str, recipe: Recipe, first: int) -> list[MemberSpec]:
    members: list[MemberSpec] = []
    for turn in range(recipe.folds.members):
        again = f", member {turn + 1}" if turn else ""
        for part, name in enumerate(names):
            number = first + len(members)
            members.append(MemberSpec(scheme, part, turn, number, f"{name}{again}"))
    return members


def _require_trainable(
    recipe: Recipe, figures: TrainingFigures, scheme: Scheme, adapt_to: Rows | None
) -> None:
    """Refuse parts without which nothing can be trained or calibrated, before any work."""
    _require_classes(scheme, figures)
    for part, name in enumerate(scheme.names):
        try:
            require_components_work(recipe, figures, scheme.trained_on(part), adapt_to)
        except RecipeError as refused:
            raise RecipeError(f"{name}: {refused}") from None


def _require_classes(scheme: Scheme, figures: TrainingFigures) -> None:
    for part, name in enumerate(scheme.names):
        rest = scheme.trained_on(part)
        for word, value in (("atypical", 1.0), ("normal", 0.0)):
            if not (figures.truth[rest] == value).any():
                raise TableError(
                    f"{name}: no {word} figure is left to train on; add {word} figures of other "
                    "cases, or change the recipe's section folds"
                )
