"""What a recipe's components need of the figures: refused with the reason before any work."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from atypia.errors import RecipeError
from atypia.training.figures import TrainingFigures
from atypia.training.recipe import Recipe

Rows = npt.NDArray[np.int64]


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
    if recipe.domain.weight:
        known = figures.domain[rows]
        if adapt_to is not None:
            known = np.concatenate([known, adapt_to])
        if len(np.unique(known)) < 2:
            raise RecipeError(
                f"domain.weight {recipe.domain.weight:g}: all figures to train on come from one "
                f"domain ({figures.domains[int(known[0])]}); give figures of a second one, name "
                "figures to adapt to, or set domain.weight=0"
            )
    if recipe.phase.weight and not figures.phase[rows].any():
        raise RecipeError(
            f"phase.weight {recipe.phase.weight:g}: no figure to train on has a phase; fill the "
            "column phase (or phase_1 and phase_2), or set phase.weight=0"
        )
    if recipe.metric.weight and not any(
        _can_pull_together(figures, rows, kind) for kind in (False, True)
    ):
        raise RecipeError(
            f"metric.weight {recipe.metric.weight:g}: no class has unanimous figures on two "
            "slides, so there is no pair to pull together; give figures of more slides, or set "
            "metric.weight=0"
        )
    set_aside(recipe, figures, rows)


def _can_pull_together(figures: TrainingFigures, rows: Rows, atypical: bool) -> bool:
    """Tell whether a class has an anchor, and figures on two slides."""
    here = rows[figures.atypical[rows] == atypical]
    return bool(figures.unanimous[here].any()) and len(np.unique(figures.slide[here])) > 1


def set_aside(recipe: Recipe, figures: TrainingFigures, rows: Rows) -> tuple[Rows, Rows]:
    """Divide training figures into those trained on and those that gamma is renewed by.

    Args:
        recipe: nothing is set aside unless gamma is adaptive.
        figures: all of them.
        rows: int64 (R,), of this member.

    Returns:
        Rows to train on and rows set aside; no case is in both.

    Raises:
        RecipeError: too few cases.
    """
    if not recipe.focal.adaptive:
        return rows, rows[:0]
    cases, atypical = figures.case[rows], figures.atypical[rows]
    parts = min(max(2, round(1 / recipe.focal.set_aside)), len(np.unique(cases)))
    refusal = RecipeError(
        f"focal.adaptive sets cases aside to measure calibration on, but the "
        f"{len(np.unique(cases))} cases at hand leave a class empty; give figures of more cases, "
        "or set focal.adaptive=false"
    )
    if parts < 2 or min(atypical.sum(), (~atypical).sum()) < 2:
        raise refusal
    parts = min(parts, int(max(atypical.sum(), (~atypical).sum())))
    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=recipe.seed)
    kept, aside = next(iter(folds.split(rows, atypical, cases)))
    if not (atypical[kept].any() and (~atypical[kept]).any() and len(aside)):
        raise refusal
    return rows[kept], rows[aside]
