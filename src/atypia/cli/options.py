"""The options of the verbs that classify: made from `PredictOptions`, and which points."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from atypia.inference.options import PredictOptions, words_of

ClassNames = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        help="Classify points of this class only. May be repeated. Without it, all but those that "
        "the file calls no mitosis.",
    ),
]
ObjectType = Annotated[
    Literal["annotation", "detection"] | None,
    typer.Option(
        "--object-type",
        help="Type of the objects for QuPath; without it QuPath's own keep theirs, and new ones "
        "are annotations, which can be edited.",
    ),
]
Origin = Annotated[
    Literal["bounds", "slide"],
    typer.Option(
        "--origin",
        help="Where points count from: the bounds of the scanned tissue, as QuPath does, or "
        "the corner of the slide.",
    ),
]
AreaClass = Annotated[
    str | None,
    typer.Option(
        "--area-class",
        help="Class of the QuPath annotations that outline the searched tissue, to report mitoses "
        "per mm2.",
    ),
]


def with_predict_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a verb that takes `options: PredictOptions`: an option for each field."""
    signature = inspect.signature(verb, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        made = _parameters() if parameter.annotation is PredictOptions else [parameter]
        parameters.extend(made)

    @functools.wraps(verb)
    def command(**given: Any) -> None:
        values = {name: given.pop(name) for name in PredictOptions.model_fields}
        verb(**given, options=PredictOptions(**values))

    del command.__wrapped__  # typer would read the verb's parameters in place of these
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def typed(options: PredictOptions) -> dict[str, Any]:
    """Return the options that are not left as they are, as they are typed: `--threads`."""
    return {_flag(name): value for name, value in options.changed.items()}


def _parameters() -> list[inspect.Parameter]:
    """Return a parameter of a command for each option of a prediction."""
    made = []
    for name, field in PredictOptions.model_fields.items():
        option = typer.Option(
            _flag(name),
            help=field.description,
            metavar=words_of(field)["metavar"] or None,
            min=next((one.ge for one in field.metadata if hasattr(one, "ge")), None),
            show_default=field.default is not None,
        )
        made.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=Annotated[field.annotation, option],
            )
        )
    return made


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
