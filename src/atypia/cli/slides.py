"""`atypia slides`: from a list of slides with points to classified figures and cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atypia.cli.options import (
    AreaClass,
    ClassNames,
    HotspotOption,
    ObjectType,
    Origin,
    with_predict_options,
)
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
            help="Table (.csv, .parquet) with one row per slide. Columns: slide, points, and "
            "optionally name, case, mpp, area_mm2. Paths are relative to the table's folder.",
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
            metavar="FORMAT",
            help="File format of each slide's results: geojson, geojson.gz, csv, parquet, json or "
            "midog.json. May be repeated. Default: geojson and csv.",
        ),
    ] = None,
    names: ClassNames = None,
    object_type: ObjectType = None,
    origin: Origin = "bounds",
    area_class: AreaClass = None,
    hotspot: HotspotOption = False,
    pictures: Annotated[
        bool,
        typer.Option(help="Draw a contact sheet of the figures and an overview for each slide."),
    ] = True,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            "--engine",
            help="local: one slide after another on this machine (start the same command on other "
            "machines that see the folder to share the work); ray: a Ray cluster.",
        ),
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            metavar="ADDRESS",
            help="Address of a running Ray cluster, e.g. auto. Default: the cores of this machine.",
        ),
    ] = None,
    options: PredictOptions,
    overwrite: Overwrite = False,
) -> None:
    """Classify the points on many slides.

    Interrupted? Run the same command again and it resumes. Slides that cannot be used are named at
    the end; the others are still done, and the exit code is 1.

    Example: atypia slides slides.csv --bundle runs/first/bundle --out results
    """
    from atypia.cli.progress import progress_bars
    from atypia.data.slide_list import read_slide_list
    from atypia.workflows.slide import PointsChoice
    from atypia.workflows.slides import Engine, predict_slides

    if ray_address is not None and engine != "ray":
        raise AtypiaError("--ray-address: applies to a Ray cluster only; add --engine ray")
    work: Engine | None = None
    if engine == "ray":
        from atypia.workflows.slides_on_ray import on_ray

        work = on_ray(ray_address)
    jobs = read_slide_list(listed)
    with progress_bars() as on_progress:
        result = predict_slides(
            jobs,
            out,
            options=options,
            choice=PointsChoice(tuple(names or ()), origin, object_type, area_class, hotspot),
            formats=formats or ("geojson", "csv"),
            pictures=pictures,
            overwrite=overwrite,
            engine=work,
            on_progress=on_progress,
        )
    for line in _summary(result, [slide.name for slide in jobs]):
        typer.echo(line)
    if result.faulty:
        raise typer.Exit(1)


def _summary(result: SlidesResult, names: list[str]) -> list[str]:
    """Return lines on the results of the slides, on failures, and on the files written."""
    states = list(zip(names, result.states, strict=True))
    done = [state for _, state in states if not state.fault]
    before = f" ({result.before} in earlier runs)" if result.before else ""
    figures = sum(state.counts.figures for state in done)
    atypical = sum(state.counts.atypical for state in done)
    referred = sum(state.counts.referred for state in done)
    whole, reading, network = (sum(getattr(state, name) for state in done) for name in _TIMES)
    lines = [
        f"{len(done)} of {len(states)} slides done{before}; {figures} figures: {atypical} "
        f"atypical, {figures - atypical} normal; {referred} referred to a person",
        f"{whole:.1f} s over all slides: {reading:.1f} s reading, {network:.1f} s network, summed "
        "over threads",
    ]
    failed = [f"  {name}: {state.fault}" for name, state in states if state.fault]
    if failed:
        lines += [f"{len(failed)} failed; run the same command again to retry them:"]
        lines += _first(failed)
    points = [
        f"  {name}: {len(state.failures)} points, first: {state.failures[0]}"
        for name, state in states
        if state.failures
    ]
    if points:
        lines += [
            f"slides with points that could not be classified: {len(points)}",
            *_first(points),
        ]
    warned = [f"  {name}: {line}" for name, state in states for line in state.warnings]
    return lines + _first(warned) + [f"wrote {file}" for file in result.files]


_TIMES = ("seconds", "reading_s", "network_s")


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return lines[:_SHOWN] + ([f"  ... and {more} more, see slides.csv"] if more > 0 else [])
