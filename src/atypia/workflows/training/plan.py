"""The plan of a training: its figures, and which of them each member is trained without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.domains import domain_names, short_domain_names, spell_alike
from atypia.data.reviews import are_errors_alone
from atypia.data.splits import domain_folds, group_domains, select_training, slide_folds
from atypia.data.table import FigureTable, count_without_slide
from atypia.data.votes import explain_contradictions
from atypia.errors import RecipeError, TableError
from atypia.training.components.sampling import cell_shares, figure_weights
from atypia.training.figures import TrainingFigures, training_figures
from atypia.training.loop import epochs_for
from atypia.training.recipe import Recipe
from atypia.training.requirements import require_components_work, switch_off_components

Rows = npt.NDArray[np.int64]
FOLDS, LEFT_OUT, WHOLE = SCHEMES = "folds", "left_out", "whole"


@dataclass(frozen=True)
class MemberSpec:
    """A member to be trained.

    Attributes:
        scheme: name of the scheme that it belongs to.
        part: of the figures, held out.
        turn: 0 for the first member without this part, 1 for the second, ...
        number: unique in the plan, part of every random draw.
        name: in progress and reports.
    """

    scheme: str
    part: int
    turn: int
    number: int
    name: str


@dataclass(frozen=True)
class Scheme:
    """A division of all N figures; the same number of members is trained without each part.

    Attributes:
        part_of: int64 (N,), the part of each figure.
        names: of the parts.
        description: of the parts, in words.
        members: the first one of each part, then the second ones.
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
    """Members to train, and their figures.

    Attributes:
        table: N figures.
        figures: the same, as training sees them.
        adapt_to: M figures of a laboratory to adapt to, if there are any.
        adapt_to_domain: int64 (M,), their domains, as positions in `figures.domains`.
        recipe: with components off that cannot work on these figures.
        folds: the scheme that holds out cases, or domains.
        left_out: the scheme that leaves out domains, where the recipe asks for it as well.
        whole: the scheme that holds nothing out, where the bundle is to be trained on all figures.
        notes: a line for every departure from the recipe.
    """

    table: FigureTable
    figures: TrainingFigures
    adapt_to: FigureTable | None
    adapt_to_domain: Rows | None
    recipe: Recipe
    folds: Scheme
    left_out: Scheme | None
    whole: Scheme | None
    notes: tuple[str, ...]

    @property
    def schemes(self) -> dict[str, Scheme]:
        """The schemes by name."""
        return _schemes_by_name(self.folds, self.left_out, self.whole)

    @property
    def shipped(self) -> str:
        """The name of the scheme whose members become the bundle."""
        return FOLDS if self.whole is None else WHOLE

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
        Both, and notes on them.
    """
    table, notes = select_training(table)
    lines = [*notes, explain_contradictions(table.frame)]
    if are_errors_alone(table.frame):
        lines.append(
            f"all {len(table):,} figures are calls of a classifier that somebody changed: trained "
            "on its errors alone, a network learns to contradict it; add figures that were "
            "confirmed, or others"
        )
    if adapt_to is not None:
        adapt_to, left_out = select_training(adapt_to)
        adapt_to = replace(adapt_to, frame=spell_alike(adapt_to.frame, table.frame))
        lines += [f"unlabelled figures: {note}" for note in left_out]
    return table, adapt_to, [line for line in lines if line]


def plan_training(
    table: FigureTable, recipe: Recipe, adapt_to: FigureTable | None = None
) -> TrainingPlan:
    """Plan a training; a component that cannot work on these figures is off or refused.

    Args:
        table: N figures, all of them to train on (see `training_tables`).
        recipe: what decides the training.
        adapt_to: figures of a laboratory to adapt to, if there are any.

    Raises:
        TableError: there is one case, or the figures outside a part are all of one class.
        RecipeError: a component that the user asked for cannot work on these figures.
    """
    names = None if adapt_to is None else domain_names(adapt_to.frame).astype(str)
    further = [] if names is None else [str(name) for name in np.unique(names)]
    figures = training_figures(table, recipe.soft_labels, further)
    domain = None if names is None else np.searchsorted(figures.domains, names).astype(np.int64)
    recipe, notes = _keep_possible_schemes(table, figures, recipe)
    folds, left_out = divide_figures(table, recipe)
    first = len(folds.members) + (len(left_out.members) if left_out else 0)
    whole = _with_all(table, recipe, first) if recipe.folds.bundle == "whole" else None
    schemes = _schemes_by_name(folds, left_out, whole).values()
    rows = [scheme.trained_on(part) for scheme in schemes for part in range(len(scheme.names))]
    recipe, lacks = switch_off_components(recipe, figures, rows, domain)
    for scheme in schemes:
        _require_trainable(recipe, figures, scheme, domain)
    schedule = recipe.schedule
    epochs = {epochs_for(schedule, len(part)) for part in rows} - {schedule.epochs}
    if epochs:
        notes.append(
            f"schedule.epochs {schedule.epochs}: training for {max(epochs)} epochs instead, to "
            f"reach schedule.min_steps {schedule.min_steps} with few figures; set "
            "schedule.min_steps=1 to keep the epochs"
        )
    off = [f"{key} is off in this training: {lack}" for key, lack in lacks.items()]
    return TrainingPlan(
        table, figures, adapt_to, domain, recipe, folds, left_out, whole, (*off, *notes)
    )


def expected_shares(table: FigureTable, recipe: Recipe) -> pd.DataFrame:
    """Return figures and expected share of an epoch, one row per (domain, class)."""
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
    """Return the folds, and the scheme of left-out domains where the recipe asks for it as well.

    Raises:
        TableError: there is one case, or domains are to be left out and there is one domain.
    """
    if recipe.folds.scheme == "domains":
        return _without_domains(table, recipe, FOLDS, 0), None
    count = min(recipe.folds.count, table.frame["case"].nunique())
    part_of = slide_folds(table.frame, count, recipe.seed)
    names = [f"fold {fold + 1} of {count}" for fold in range(count)]
    folds = Scheme(part_of, names, _describe_folds(table), _members(names, FOLDS, recipe, 0))
    if not recipe.folds.left_out_domains:
        return folds, None
    return folds, _without_domains(table, recipe, LEFT_OUT, len(folds.members))


def _keep_possible_schemes(
    table: FigureTable, figures: TrainingFigures, recipe: Recipe
) -> tuple[Recipe, list[str]]:
    """Return the recipe without divisions by domain that these figures do not allow, and notes.

    What the user asked for stays, to be refused later.
    """
    notes = []
    key, groups = "folds.domain_groups", recipe.folds.domain_groups
    asked_for_groups = recipe.was_asked_for(key)
    domains = len(np.unique(figures.domain))
    if groups is not None and groups > domains and not asked_for_groups:
        recipe = recipe.with_value(key, None)
        if domains > 1:
            notes.append(f"{key} is off in this training: the table has {domains} domains")
    for key, by_slide in (("folds.left_out_domains", False), ("folds.scheme", "slides")):
        if recipe.value(key) == by_slide or recipe.was_asked_for(key) or asked_for_groups:
            continue
        try:
            _require_classes(_without_domains(table, recipe, LEFT_OUT, 0), figures)
        except TableError as lack:
            recipe = recipe.with_value(key, by_slide)
            now = "off" if by_slide is False else by_slide
            notes.append(f"{key} is {now} in this training: {lack}")
    return recipe, notes


def _schemes_by_name(
    folds: Scheme, left_out: Scheme | None, whole: Scheme | None
) -> dict[str, Scheme]:
    schemes = zip(SCHEMES, (folds, left_out, whole), strict=True)
    return {name: scheme for name, scheme in schemes if scheme is not None}


def _describe_folds(table: FigureTable) -> str:
    count = count_without_slide(table)
    if count == len(table):
        return "folds by figures, which name no slide"
    return "folds by slides" + (f" ({count} figures name no slide)" if count else "")


def _without_domains(table: FigureTable, recipe: Recipe, scheme: str, first: int) -> Scheme:
    part_of, domains = domain_folds(table.frame)
    short = short_domain_names(domains)
    names, description = [f"without {short[name]}" for name in domains], "domains left out"
    groups = recipe.folds.domain_groups
    if groups is not None:
        group_of = group_domains(np.bincount(part_of), groups)
        part_of = group_of[part_of]
        names = [
            f"without {'; '.join(short[domains[at]] for at in np.flatnonzero(group_of == group))}"
            for group in range(groups)
        ]
        description = f"groups of the {len(domains)} domains left out"
    members = _members(names, scheme, recipe, first)
    return Scheme(part_of, names, description, members)


def _with_all(table: FigureTable, recipe: Recipe, first: int) -> Scheme:
    """Return the scheme of one part that holds nothing out."""
    names = ["on all figures"]
    members = _members(names, WHOLE, recipe, first)
    return Scheme(np.full(len(table), -1), names, "trained on all figures", members)


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
    """Refuse schemes with members that cannot be trained, before any work."""
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
