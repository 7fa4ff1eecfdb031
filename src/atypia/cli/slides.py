"""`atypia slides`: a list of slides with points in, classified figures and a table of cases out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atypia.cli.options import AreaClass, ClassNames, ObjectType, Origin, with_predict_options
from atypia.cli.outputs import Overwrite
from atypia.errors import AtypiaError
from atypia.inference.options import PredictOptions

if TYPE_CHECKING:
    from atypia.workflows.slides import SlidesResult

_SHOWN = 20


@with_predict_options
def slides(
    listed: Annotated[
        Path,
        typer.Argument(
            metavar="LIST",
            help="Table (.csv, .parquet), one row a slide: slide, points, and if they are known "
            "name, case, mpp, area_mm2. Files are relative to the list's folder.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", help="Output folder. Run again with the same folder to resume."
        ),
    ],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="Format of the files written for each slide: geojson, geojson.gz, csv, parquet, "
            "json, midog.json. May be repeated; without it, geojson and csv.",
        ),
    ] = None,
    names: ClassNames = None,
    object_type: ObjectType = None,
    origin: Origin = "bounds",
    area_class: AreaClass = None,
    pictures: Annotated[
        bool,
        typer.Option(help="Draw a contact sheet of the figures, and an overview, of each slide."),
    ] = True,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            "--engine",
            help="local: one slide after the other, here (the command may be started on several "
            "machines that see the folder); ray: a Ray cluster.",
        ),
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            help="Address of a running cluster, e.g. auto; without it, this machine's cores.",
        ),
    ] = None,
    options: PredictOptions,
    overwrite: Overwrite = False,
) -> None:
    """Classify the points of many slides.

    Interrupted? Run the same command again and it resumes. A slide that cannot be used is named at
    the end, the others are done; the exit code is then 1.

    Example: atypia slides slides.csv --bundle runs/lite/bundle --out results
    """
    from atypia.cli.progress import progress_bars
    from atypia.data.slide_list import read_slide_list
    from atypia.workflows.slide import PointsChoice
    from atypia.workflows.slides import Engine, predict_slides

    if ray_address is not None and engine != "ray":
        raise AtypiaError("--ray-address: says where a Ray cluster is; give --engine ray too")
    work: Engine | None = None
    if engine == "ray":
        from atypia.workflows.slides_on_ray import on_ray

        work = on_ray(ray_address)
    given = read_slide_list(listed)
    with progress_bars() as on_progress:
        result = predict_slides(
            given,
            out,
            options=options,
            choice=PointsChoice(tuple(names or ()), origin, object_type, area_class),
            formats=formats or ("geojson", "csv"),
            pictures=pictures,
            overwrite=overwrite,
            engine=work,
            on_progress=on_progress,
        )
    for line in _summary(result, [one.name for one in given]):
        typer.echo(line)
    if result.faulty:
        raise typer.Exit(1)


def _summary(result: SlidesResult, names: list[str]) -> list[str]:
    """Say what came of the slides, what failed, and where results lie."""
    states = list(zip(names, result.states, strict=True))
    done = [state for _, state in states if not state.fault]
    before = f" ({result.before} of them before)" if result.before else ""
    figures = sum(state.counts.figures for state in done)
    atypical = sum(state.counts.atypical for state in done)
    referred = sum(state.counts.referred for state in done)
    seconds = (sum(getattr(state, one) for state in done) for one in _TIMES)
    whole, reading, network = seconds
    lines = [
        f"{len(done)} of {len(states)} slides done{before}; {figures} figures: {atypical} "
        f"atypical, {figures - atypical} normal; {referred} to be looked at by a person",
        f"{whole:.1f} s over all slides; {reading:.1f} s in reading, {network:.1f} s in the "
        "network, summed over threads",
    ]
    failed = [f"  {name}: {state.fault}" for name, state in states if state.fault]
    if failed:
        lines += [f"{len(failed)} failed; they are tried again by the same command:"]
        lines += _first(failed)
    points = [
        f"  {name}: {len(state.failures)} points, the first: {state.failures[0]}"
        for name, state in states
        if state.failures
    ]
    if points:
        lines += [f"points of {len(points)} slides could not be classified:", *_first(points)]
    warned = [f"  {name}: {line}" for name, state in states for line in state.warnings]
    return lines + _first(warned) + [f"wrote {file}" for file in result.files]


_TIMES = ("seconds", "reading_s", "network_s")


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return lines[:_SHOWN] + ([f"  ... and {more} more, see slides.csv"] if more > 0 else [])
