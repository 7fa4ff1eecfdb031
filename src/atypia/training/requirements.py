"""What a recipe's components need of the figures: without it they step back, or are refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from atypia.errors import RecipeError
from atypia.training.figures import TrainingFigures
from atypia.training.recipe import Recipe

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Requirement:
    """What a component needs of the figures.

    Attributes:
        key: the setting that switches it on, `section.key`.
        off: the value that switches it off.
        lacks: gives what the figures lack and what to do about it, "" where it can work.
    """

    key: str
    off: float | bool
    lacks: Callable[[Recipe, TrainingFigures, Rows, Rows | None], tuple[str, str]]


def step_back(
    recipe: Recipe, figures: TrainingFigures, parts: Sequence[Rows], adapt_to: Rows | None
) -> tuple[Recipe, dict[str, str]]:
    """Switch off components that cannot work on these figures and that nobody asked for by name.

    Args:
        recipe: what decides the training.
        figures: all of them.
        parts: of each member, int64 (R,), the rows that it is trained on.
        adapt_to: int64 (M,), domains of the unlabelled figures to adapt to, if there are any.

    Returns:
        The recipe without them, and for the `section.key` of each component that was switched off
        what the figures lack. One that was asked for stays, and `require_components_work` refuses
        it.
    """
    lacks: dict[str, str] = {}
    for requirement in REQUIREMENTS:
        if recipe.asks_for(requirement.key):
            continue
        for rows in parts:
            lack, _ = requirement.lacks(recipe, figures, rows, adapt_to)
            if lack:
                recipe = recipe.changed(requirement.key, requirement.off)
                lacks[requirement.key] = lack
                break
    return recipe, lacks


def require_components_work(
    recipe: Recipe,
    figures: TrainingFigures,
    rows: Rows,
    adapt_to: Rows | None,
) -> None:
    """Refuse a component that has nothing to work on.

    Args:
        recipe: what decides the training.
        figures: all of them.
        rows: int64 (R,), those that are trained on.
        adapt_to: int64 (M,), domains of the unlabelled figures to adapt to, if there are any.

    Raises:
        RecipeError: names the component, what it lacks and what to do.
    """
    if adapt_to is not None and not recipe.domain.weight:
        raise RecipeError(
            "figures to adapt to are given, but domain.weight is 0, so that nothing would be "
            "learned from them; set domain.weight=0.1, or leave them out"
        )
    for requirement in REQUIREMENTS:
        lack, remedy = requirement.lacks(recipe, figures, rows, adapt_to)
        if lack:
            key, off = requirement.key, _plain(requirement.off)
            raise RecipeError(
                f"{key} {_plain(recipe.value(key))}: {lack}; {remedy}, or set {key}={off}"
            )


def _plain(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _lacks_domains(
    recipe: Recipe, figures: TrainingFigures, rows: Rows, adapt_to: Rows | None
) -> tuple[str, str]:
    known = figures.domain[rows]
    if adapt_to is not None:
        known = np.concatenate([known, adapt_to])
    if not recipe.domain.weight or len(np.unique(known)) > 1:
        return "", ""
    name = figures.domains[int(known[0])]
    return (
        f"all figures to train on come from one domain ({name})",
        "give figures of a second one, name figures to adapt to",
    )


def _lacks_phases(
    recipe: Recipe, figures: TrainingFigures, rows: Rows, adapt_to: Rows | None
) -> tuple[str, str]:
    if not recipe.phase.weight or figures.phase[rows].any():
        return "", ""
    return "no figure to train on has a phase", "fill the column phase (or phase_1 and phase_2)"


def _lacks_pairs(
    recipe: Recipe, figures: TrainingFigures, rows: Rows, adapt_to: Rows | None
) -> tuple[str, str]:
    pairs = (_can_pull_together(figures, rows, kind) for kind in (False, True))
    if not recipe.metric.weight or any(pairs):
        return "", ""
    return (
        "no class has unanimous figures on two slides, so there is no pair to pull together",
        "give figures of more slides",
    )


def _can_pull_together(figures: TrainingFigures, rows: Rows, atypical: bool) -> bool:
    """Tell whether a class has an anchor, and figures on two slides."""
    here = rows[figures.atypical[rows] == atypical]
    return bool(figures.unanimous[here].any()) and len(np.unique(figures.slide[here])) > 1


def _lacks_cases(
    recipe: Recipe, figures: TrainingFigures, rows: Rows, adapt_to: Rows | None
) -> tuple[str, str]:
    if not recipe.focal.adaptive or _divided(recipe, figures, rows) is not None:
        return "", ""
    return (
        "it sets cases aside to measure calibration on, but the "
        f"{len(np.unique(figures.case[rows]))} cases at hand leave a class empty",
        "give figures of more cases",
    )


REQUIREMENTS = (
    Requirement("domain.weight", 0.0, _lacks_domains),
    Requirement("phase.weight", 0.0, _lacks_phases),
    Requirement("metric.weight", 0.0, _lacks_pairs),
    Requirement("focal.adaptive", False, _lacks_cases),
)


def set_aside(recipe: Recipe, figures: TrainingFigures, rows: Rows) -> tuple[Rows, Rows]:
    """Divide training figures into those trained on and those that gamma is renewed by.

    Args:
        recipe: nothing is set aside unless gamma is adaptive.
        figures: all of them; enough for an adaptive gamma (see `require_components_work`).
        rows: int64 (R,), of this member.

    Returns:
        Rows to train on and rows set aside; no case is in both.
    """
    divided = _divided(recipe, figures, rows) if recipe.focal.adaptive else None
    return (rows, rows[:0]) if divided is None else divided


def _divided(recipe: Recipe, figures: TrainingFigures, rows: Rows) -> tuple[Rows, Rows] | None:
    """Return rows to train on and rows set aside, None where the cases are too few."""
    cases, atypical = figures.case[rows], figures.atypical[rows]
    parts = min(max(2, round(1 / recipe.focal.set_aside)), len(np.unique(cases)))
    if parts < 2 or min(atypical.sum(), (~atypical).sum()) < 2:
        return None
    parts = min(parts, int(max(atypical.sum(), (~atypical).sum())))
    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=recipe.seed)
    with warnings.catch_warnings():  # of a class with fewer cases than parts, checked below
        warnings.simplefilter("ignore", UserWarning)
        kept, aside = next(iter(folds.split(rows, atypical, cases)))
    if not (atypical[kept].any() and (~atypical[kept]).any() and len(aside)):
        return None
    return rows[kept], rows[aside]
