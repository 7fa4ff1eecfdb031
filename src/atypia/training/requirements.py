"""What a recipe's components need of the figures: without it they step back, or are refused."""

from __future__ import annotations

from collections.abc import Sequence

from atypia.errors import RecipeError
from atypia.training.components.base import Lack, Material, Rows
from atypia.training.figures import TrainingFigures
from atypia.training.recipe import Recipe, loss_components


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
    for name, component in recipe.components():
        key = f"{name}.{component.switch}"
        if recipe.asks_for(key):
            continue
        materials = (Material(figures, rows, adapt_to, recipe.seed) for rows in parts)
        lack = next(filter(None, map(component.lack, materials)), None)
        if lack is not None:
            recipe = recipe.changed(key, component.off)
            lacks[key] = lack.what
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
    if adapt_to is not None and not any(loss.unlabelled_share for _, loss in recipe.losses()):
        names = [name for name, kind in loss_components().items() if kind.unlabelled_share]
        raise RecipeError(
            f"figures to adapt to are given, but {' and '.join(f'{name}.weight' for name in names)}"
            f" is 0, so that nothing would be learned from them; set {names[0]}.weight=0.1, or "
            "leave them out"
        )
    material = Material(figures, rows, adapt_to, recipe.seed)
    for name, component in recipe.components():
        lack = component.lack(material)
        if lack is not None:
            raise RecipeError(_refusal(recipe, f"{name}.{component.switch}", component.off, lack))


def _refusal(recipe: Recipe, key: str, off: float | bool, lack: Lack) -> str:
    value = _plain(recipe.value(key))
    return f"{key} {value}: {lack.what}; {lack.remedy}, or set {key}={_plain(off)}"


def _plain(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
