"""The plan of an ablation: arms (recipes with changes), run over the same seeds and folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, PrivateAttr, ValidationError

from atypia.errors import RecipeError, abbreviate, suggest_name
from atypia.training.recipe import Recipe
from atypia.training.recipe_file import is_file, list_faults, read_recipe, read_toml, recipe_files
from atypia.training.section import Section

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Value = TypeVar("Value", str, int)


class Arm(Section):
    """One row of the table: a recipe and changes to it."""

    name: str = Field(min_length=1, description="name in the table")
    recipe: str = Field(description="a TOML file, or the name of a recipe of atypia")
    changes: tuple[str, ...] = Field((), alias="set", description="each section.key=value")
    against: str | None = Field(None, description="name of the arm to compare with")


class Plan(Section):
    """All arms, and what they share."""

    name: str = Field(min_length=1, description="name in the table's caption")
    seeds: tuple[Seed, ...] = Field(min_length=1, description="every arm is run with each seed")
    changes: tuple[str, ...] = Field(
        (), alias="set", description="changes to every arm, before its own"
    )
    domain_groups: int | None = Field(
        None, ge=3, description="leave domains out in this many groups, not one by one"
    )
    arms: tuple[Arm, ...] = Field(min_length=1, alias="arm")
    # In a plan of atypia, the user asked for no component: one that cannot work is switched off.
    _is_atypias: bool = PrivateAttr(False)

    def recipe(self, arm: Arm, seed: int) -> Recipe:
        """Return the recipe of an arm with a seed.

        Raises:
            RecipeError: the arm's recipe or one of the changes is faulty.
        """
        recipe = read_recipe(arm.recipe, [*self.changes, *arm.changes, f"seed={seed}"])
        return recipe.with_asked() if self._is_atypias else recipe

    def without_arms(self, names: Collection[str]) -> Plan:
        """Return the plan without some arms, and without comparisons with them."""
        arms = tuple(
            arm.model_copy(update={"against": None}) if arm.against in names else arm
            for arm in self.arms
            if arm.name not in names
        )
        return self.model_copy(update={"arms": arms})


def read_plan(source: str | Path) -> Plan:
    """Read a plan.

    Args:
        source: a TOML file, or the name of a plan that comes with atypia.

    Raises:
        RecipeError: no such plan; not TOML; one line for each unknown key, value out of range,
            duplicate name or seed, unknown arm, and fault of an arm's recipe.
    """
    path = _find(str(source))
    try:
        plan = Plan.model_validate(read_toml(path))
    except ValidationError as faults:
        raise RecipeError(
            list_faults(f"{path}: {_explain(fault)}" for fault in faults.errors())
        ) from None
    plan._is_atypias = path in plan_files().values()
    lines = [f"{path}: {fault}" for fault in _faults(plan)]
    if lines:
        raise RecipeError(list_faults(lines))
    return plan


def plan_files() -> dict[str, Path]:
    """Return the plan files that come with atypia, by name."""
    return recipe_files("ablation")


def _find(source: str) -> Path:
    if is_file(source):
        return Path(source)
    known = plan_files()
    if source in known:
        return known[source]
    raise RecipeError(
        f"plan {abbreviate(source)} is neither a file nor a plan of atypia; the plans are "
        f"{', '.join(known)}{suggest_name(source, known)}"
    )


def _faults(plan: Plan) -> Iterator[str]:
    """Yield faults that no single value shows; a fault that many arms share, once."""
    names = [arm.name for arm in plan.arms]
    for name in _duplicates(names):
        yield f"two arms are called {abbreviate(name)}; rename one of them"
    for seed in _duplicates(plan.seeds):
        yield f"seeds contains {seed} twice; remove one"
    reported = set()
    for arm in plan.arms:
        name = abbreviate(arm.name)
        if arm.against == arm.name:
            yield f"arm {name}: against names the arm itself; name another arm, or leave it out"
        elif arm.against is not None and arm.against not in names:
            yield (
                f"arm {name}: against is {abbreviate(arm.against)}, which is no arm of the "
                f"plan; its arms are {', '.join(map(abbreviate, names))}"
                f"{suggest_name(arm.against, names)}"
            )
        try:
            if plan.recipe(arm, plan.seeds[0]).distillation.teachers:
                yield (
                    f"arm {name}: distillation.teachers: a plan has folds of its own, which no "
                    "teacher knows; leave them out, and compare trainings by `atypia train`"
                )
        except RecipeError as faults:
            for line in str(faults).splitlines():
                if line not in reported:
                    reported.add(line)
                    yield f"arm {name}: {line}"


def _duplicates(values: Sequence[Value]) -> list[Value]:
    return [value for value, count in Counter(values).items() if count > 1]


def _explain(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        model = Arm if len(fault["loc"]) > 1 else Plan
        known = [field.alias or name for name, field in model.model_fields.items()]
        return f"unknown key {abbreviate(key)} (known here: {', '.join(known)})"
    if fault["type"] == "missing":
        return f"{key} is missing"
    message = str(fault["msg"])
    return f"{key} is {abbreviate(fault['input'])}; {message[0].lower()}{message[1:]}"
