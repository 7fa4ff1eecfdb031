"""`atypia slide`: from points on a slide to classified figures, for QuPath or as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atypia.cli.options import (
    AreaClass,
    ClassNames,
    HotspotOption,
    ObjectType,
    Origin,
    SlideMpp,
    with_predict_options,
)
from atypia.cli.outputs import Overwrite
from atypia.inference.options import PredictOptions


@with_predict_options
def slide(
    slide: Annotated[
        Path,
        typer.Argument(
            metavar="SLIDE",
            help="Slide file: any format that OpenSlide reads, OME-TIFF or plain TIFF.",
            show_default=False,
        ),
    ],
    *,
    points: Annotated[
        Path,
        typer.Option(
            "--points",
            metavar="FILE",
            help="Points on the slide: QuPath GeoJSON, MIDOG JSON, TIAToolbox's JSON or .db, or a "
            "table with x and y.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Output file: .geojson or .geojson.gz for QuPath; .csv, .parquet or .json for a "
            "predictions table; or .midog.json.",
        ),
    ] = Path("predictions.csv"),
    names: ClassNames = None,
    object_type: ObjectType = None,
    origin: Origin = "bounds",
    area_mm2: Annotated[
        float | None,
        typer.Option(
            "--area-mm2",
            metavar="NUMBER",
            help="Area of the searched tissue in mm2, to report mitoses per mm2.",
        ),
    ] = None,
    area_class: AreaClass = None,
    hotspot: HotspotOption = False,
    pictures: Annotated[
        bool,
        typer.Option(help="Draw a contact sheet of the figures and an overview of the slide."),
    ] = True,
    mpp: SlideMpp = None,
    options: PredictOptions,
    overwrite: Overwrite = False,
) -> None:
    """Classify the points on a slide.

    QuPath gets its objects back with class and probability, and everything they had before. Points
    that cannot be used are named; the others are still classified, and the exit code is 1. For a
    list of slides: atypia slides.

    Example: atypia slide case.svs --points mitoses.geojson --out classified.geojson
    """
    from atypia.cli.counts import describe_counts, describe_hotspot
    from atypia.cli.progress import progress_bars
    from atypia.cli.summary import describe_run
    from atypia.workflows.slide import PointsChoice, predict_slide

    with progress_bars() as on_progress:
        result = predict_slide(
            slide,
            points,
            out,
            mpp=mpp,
            area_mm2=area_mm2,
            options=options,
            choice=PointsChoice(tuple(names or ()), origin, object_type, area_class, hotspot),
            pictures=_without_ending(out) if pictures else None,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    files = [f"wrote {file}" for file in result.files]
    counts = [*describe_counts(result.counts), *describe_hotspot(result.hotspot)]
    for line in [*describe_run(result.record), *counts, *files]:
        typer.echo(line)
    if result.record.failures:
        raise typer.Exit(1)


def _without_ending(out: Path) -> Path:
    """Return `case` of `case.geojson.gz`, `case.midog.json` or `case.csv`."""
    from atypia.inference.slides import SLIDE_ENDINGS

    fitting = [end for end in SLIDE_ENDINGS if out.name.lower().endswith(end)]
    longest = max(fitting, key=len, default="")
    return out.with_name(out.name[: len(out.name) - len(longest)] or out.name)
