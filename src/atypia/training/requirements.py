"""Requirements of a recipe's components on the figures: unmet, a component is off or refused."""

from __future__ import annotations

from collections.abc import Sequence

from atypia.errors import RecipeError
from atypia.training.components.base import Lack, Material, Rows
from atypia.training.figures import TrainingFigures
from atypia.training.recipe import Recipe, loss_components


def switch_off_components(
    recipe: Recipe, figures: TrainingFigures, parts: Sequence[Rows], adapt_to: Rows | None
) -> tuple[Recipe, dict[str, str]]:
    """Switch off components that cannot work on these figures and that the user did not ask for.

    Args:
        recipe: what decides the training.
        figures: all of them.
        parts: for each member, int64 (R,), the rows that it is trained on.
        adapt_to: int64 (M,), domains of the unlabelled figures to adapt to, if there are any.

    Returns:
        The recipe without them, and what the figures lack, by the `section.key` of each component
        that was switched off. A component that the user asked for stays, and
        `require_components_work` refuses it.
    """
    lacks: dict[str, str] = {}
    for name, component in recipe.components():
        key = f"{name}.{component.switch}"
        if recipe.was_asked_for(key):
            continue
        materials = (Material(figures, rows, adapt_to, recipe.seed) for rows in parts)
        lack = next(filter(None, map(component.find_lack, materials)), None)
        if lack is not None:
            recipe = recipe.with_value(key, component.off)
            lacks[key] = lack.what
    return recipe, lacks


def require_components_work(
    recipe: Recipe,
    figures: TrainingFigures,
    rows: Rows,
    adapt_to: Rows | None,
) -> None:
    """Refuse a component that cannot work on these figures.

    Args:
        recipe: what decides the training.
        figures: all of them.
        rows: int64 (R,), those that are trained on.
        adapt_to: int64 (M,), domains of the unlabelled figures to adapt to, if there are any.

    Raises:
        RecipeError: names the component, what it lacks and what to do.
    """
    used = any(loss.unlabelled_share for _, loss in recipe.losses())
    if adapt_to is not None and not used and not recipe.distillation.teachers:
        names = [name for name, kind in loss_components().items() if kind.unlabelled_share]
        keys = " and ".join(f"{name}.weight" for name in names)
        raise RecipeError(
            f"there are unlabelled figures, but {keys} is 0 and distillation has no teachers, so "
            f"nothing would be learned from them; set {names[0]}.weight=0.1, name teachers, or "
            "leave them out"
        )
    material = Material(figures, rows, adapt_to, recipe.seed)
    for name, component in recipe.components():
        lack = component.find_lack(material)
        if lack is not None:
            raise RecipeError(_refusal(recipe, f"{name}.{component.switch}", component.off, lack))


def _refusal(recipe: Recipe, key: str, off: float | bool, lack: Lack) -> str:
    value = _format_value(recipe.value(key))
    return f"{key} {value}: {lack.what}; {lack.remedy}, or set {key}={_format_value(off)}"


def _format_value(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
