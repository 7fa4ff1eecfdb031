"""Recipes as TOML files: read, change by `--set`, write."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from atypia.errors import RecipeError, abbreviate, suggest_name
from atypia.files import shipped_folder
from atypia.training.recipe import Recipe, current_name, with_current_names

_NAMED_FAULTS = 20


def read_recipe(source: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        source: a TOML file, or the name of a recipe that comes with atypia.
        changes: `section.key=value`, the value as in TOML (a bare word is text).

    Raises:
        RecipeError: no such recipe; not TOML; an unknown key; a value out of range.

    Example:
        >>> read_recipe("lite", ["schedule.epochs=3"]).schedule.epochs
        3
    """
    path = _find(str(source))
    try:
        values = with_current_names(read_toml(path))
    except ValueError as fault:
        raise RecipeError(f"{path}: {fault}") from None
    asked: dict[str, Any] = {} if path in recipe_files().values() else values
    for change in changes:
        _set(values, change)
        if asked is not values:
            _set(asked, change)
    return check_recipe(values, str(path)).with_asked(asked)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file, with or without a byte order mark.

    Raises:
        RecipeError: it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as fault:
        raise RecipeError(f"{path}: cannot be read ({fault.strerror})") from fault
    except RecursionError:
        raise RecipeError(f"{path}: is nested too deeply for a recipe") from None
    except ValueError as fault:  # no UTF-8, no TOML, or a number of thousands of digits
        raise RecipeError(f"{path}: is not a TOML file ({fault})") from None


def check_recipe(values: Mapping[str, Any], name: str) -> Recipe:
    """Validate a recipe's values; report all faults at once.

    Raises:
        RecipeError: one line per fault: the key, the value and what was expected.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as faults:
        raise RecipeError(list_faults(_explain(fault, name) for fault in faults.errors())) from None


def list_faults(lines: Iterable[str]) -> str:
    """Return the first 20 faults, one per line, and the number of the others."""
    lines = list(lines)
    more = len(lines) - _NAMED_FAULTS
    return "\n".join([*lines[:_NAMED_FAULTS], *([f"... and {more} more"] if more > 0 else [])])


def recipe_files(kind: str = ".") -> dict[str, Path]:
    """Return the recipe files that come with atypia, by name.

    Args:
        kind: a subfolder of the recipes, such as "ablation" for plans.
    """
    folder = shipped_folder("recipes")
    if folder is None:
        return {}
    return {path.stem: path for path in sorted((folder / kind).glob("*.toml"))}


def to_toml(recipe: Recipe) -> str:
    """Return a recipe as TOML, every value with its meaning."""
    return "\n".join(_toml_lines(recipe)) + "\n"


def _find(source: str) -> Path:
    if is_file(source):
        return Path(source)
    known = recipe_files()
    if source in known:
        return known[source]
    raise RecipeError(
        f"recipe {abbreviate(source)} is neither a file nor a recipe of atypia; the recipes "
        f"are {', '.join(known)}{suggest_name(source, known)}"
    )


def is_file(source: str) -> bool:
    """Return whether a file of this name exists; False for what cannot be a file name."""
    try:
        return Path(source).is_file()
    except OSError:  # too long
        return False


def _set(values: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise RecipeError(
            f"--set {abbreviate(change)}: expected section.key=value, e.g. schedule.epochs=20"
        )
    try:
        value = _value(text)
    except RecursionError:
        raise RecipeError(f"--set {abbreviate(change)}: is nested too deeply") from None
    *sections, last = current_name(key.strip()).split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise RecipeError(
                f"--set {abbreviate(change)}: {abbreviate(section)} is a value, not a section"
            )
    place[last] = value


def _value(text: str) -> Any:
    """Return a value as TOML reads it; what is not one TOML value is text."""
    try:
        values = tomllib.loads(f"value = {text}")
    except ValueError:
        return text.strip()
    return values["value"] if len(values) == 1 else text.strip()


def _explain(fault: Any, name: str) -> str:
    where = [str(part) for part in fault["loc"]]
    key = ".".join(where) or "recipe"
    if fault["type"] == "extra_forbidden":
        known = _keys(where[:-1])
        elsewhere = [k for k in _all_keys() if k.split(".")[-1] == where[-1]]
        offer = suggest_name(where[-1], elsewhere, cutoff=0.0) or suggest_name(where[-1], known)
        return f"{name}: unknown key {abbreviate(key)}; known here: {', '.join(known)}{offer}"
    if fault["type"] == "value_error":
        return f"{name}: {fault['ctx']['error']}"
    message = str(fault["msg"])
    return f"{name}: {key} is {abbreviate(fault['input'])}; {message[0].lower()}{message[1:]}"


def _keys(sections: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Recipe
    for section in sections:
        kind = model.model_fields[section].annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return []
        model = kind
    return list(model.model_fields)


def _all_keys() -> Iterator[str]:
    for name, field in Recipe.model_fields.items():
        yield name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{name}.{key}" for key in field.annotation.model_fields)


def _toml_lines(model: BaseModel) -> Iterator[str]:
    """Yield a model's own values first, then its sections, as TOML requires."""
    fields = type(model).model_fields
    for name, field in fields.items():
        value = getattr(model, name)
        if not isinstance(value, BaseModel):
            line = f"# {name} =" if value is None else f"{name} = {_toml_value(value)}"
            yield f"{line:<36} # {_meaning(field)}"
    for name in fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield f"\n[{name}]"
            yield from _toml_lines(value)


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # JSON leaves one control character as it is that TOML does not allow.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    return repr(value)


def _meaning(field: Any) -> str:
    choices = [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
    listed = f" ({', '.join(choices)})" if choices else ""
    return f"{field.description or ''}{listed}"
