"""The options of the verbs that classify: those of `PredictOptions`, and those for points."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from atypia.inference.options import PredictOptions, read_words

ClassNames = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        metavar="NAME",
        help="Classify only points of this class. May be repeated. Default: all except classes "
        "that are no mitoses by name.",
    ),
]
ObjectType = Annotated[
    Literal["annotation", "detection"] | None,
    typer.Option(
        "--object-type",
        metavar="TYPE",
        help="Type of the objects for QuPath: annotation or detection. Default: QuPath's own keep "
        "theirs; new ones are annotations, which can be edited.",
    ),
]
Origin = Annotated[
    Literal["bounds", "slide"],
    typer.Option(
        "--origin",
        help="Origin of the coordinates: the bounds of the scanned tissue, as in QuPath, or the "
        "corner of the slide.",
    ),
]
SlideMpp = Annotated[
    float | None,
    typer.Option(
        "--mpp",
        metavar="NUMBER",
        help="Pixel size of the slide in um/px, 0.05 to 5, instead of the one in its file.",
    ),
]
AreaClass = Annotated[
    str | None,
    typer.Option(
        "--area-class",
        metavar="NAME",
        help="Class of the QuPath annotations that outline the searched tissue, to report mitoses "
        "per mm2.",
    ),
]
HotspotOption = Annotated[
    bool,
    typer.Option(
        "--hotspot",
        help="Also count the figures in the 2.37 mm2 where they are densest (4:3, at least 80 % of "
        "it in the searched area).",
    ),
]


def with_predict_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Turn a verb that takes `options: PredictOptions` into a command with one option per field."""
    signature = inspect.signature(verb, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        is_options = parameter.annotation is PredictOptions
        parameters.extend(_option_parameters() if is_options else [parameter])

    @functools.wraps(verb)
    def command(**values: Any) -> None:
        options = {name: values.pop(name) for name in PredictOptions.model_fields}
        verb(**values, options=PredictOptions(**options))

    del command.__wrapped__  # typer would read the verb's parameters in place of these
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def changed_flags(options: PredictOptions) -> dict[str, Any]:
    """Return the options that differ from their defaults, by flag: `--threads`."""
    return {_flag(name): value for name, value in options.changed.items()}


def _option_parameters() -> list[inspect.Parameter]:
    """Return a parameter of a command for each option of a prediction."""
    parameters = []
    for name, field in PredictOptions.model_fields.items():
        option = typer.Option(
            _flag(name),
            help=field.description,
            metavar=read_words(field)["metavar"] or None,
            min=next((bound.ge for bound in field.metadata if hasattr(bound, "ge")), None),
            show_default=field.default is not None,
        )
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=Annotated[field.annotation, option],
            )
        )
    return parameters


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
