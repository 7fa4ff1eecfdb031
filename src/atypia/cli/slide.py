"""`atypia slide`: points on a slide in, the classified figures out, for QuPath or as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atypia.cli.options import AreaClass, ClassNames, ObjectType, Origin, with_predict_options
from atypia.cli.outputs import Overwrite
from atypia.inference.options import PredictOptions


@with_predict_options
def slide(
    slide: Annotated[
        Path,
        typer.Argument(
            metavar="SLIDE",
            help="The slide: whatever OpenSlide reads, OME-TIFF, plain TIFF.",
            show_default=False,
        ),
    ],
    *,
    points: Annotated[
        Path,
        typer.Option(
            "--points",
            metavar="FILE",
            help="Points on the slide: QuPath GeoJSON, MIDOG JSON, or a table with x and y.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help=".geojson or .geojson.gz for QuPath; .csv, .parquet or .json for a predictions "
            "table; .midog.json.",
        ),
    ] = Path("predictions.csv"),
    names: ClassNames = None,
    object_type: ObjectType = None,
    origin: Origin = "bounds",
    area_mm2: Annotated[
        float | None,
        typer.Option(
            "--area-mm2", help="Area of the searched tissue in mm2, to report mitoses per mm2."
        ),
    ] = None,
    area_class: AreaClass = None,
    pictures: Annotated[
        bool,
        typer.Option(help="Draw a contact sheet of the figures, and an overview of the slide."),
    ] = True,
    mpp: Annotated[
        float | None,
        typer.Option(
            "--mpp", help="um/px of the slide, 0.05 to 5, in place of what its file says."
        ),
    ] = None,
    options: PredictOptions,
    overwrite: Overwrite = False,
) -> None:
    """Classify the points on a slide.

    QuPath gets its objects back with class and probability, and everything else that they had.
    Points that cannot be used are named and the others are still classified; the exit code is
    then 1. For a list of slides: atypia slides.

    Example: atypia slide case.svs --points mitoses.geojson --out classified.geojson
    """
    from atypia.cli.counts import counts_in_words
    from atypia.cli.progress import progress_bars
    from atypia.cli.summary import describe_run
    from atypia.workflows.slide import PointsChoice, SlideJob, predict_slide

    with progress_bars() as on_progress:
        result = predict_slide(
            SlideJob(slide, points, mpp, area_mm2),
            [out],
            options=options,
            choice=PointsChoice(tuple(names or ()), origin, object_type, area_class),
            pictures=_without_ending(out) if pictures else None,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    files = [f"wrote {file}" for file in result.files]
    for line in [*describe_run(result.record), *counts_in_words(result.counts), *files]:
        typer.echo(line)
    if result.record.failures:
        raise typer.Exit(1)


def _without_ending(out: Path) -> Path:
    """Return `case` of `case.geojson.gz`, `case.midog.json` or `case.csv`."""
    from atypia.inference.slides import SLIDE_ENDINGS

    fitting = [end for end in SLIDE_ENDINGS if out.name.lower().endswith(end)]
    longest = max(fitting, key=len, default="")
    return out.with_name(out.name[: len(out.name) - len(longest)] or out.name)
