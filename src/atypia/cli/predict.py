"""`atypia predict`: images in, P(atypical) out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atypia.cli import classifying
from atypia.cli.counts import counts_in_words
from atypia.cli.figures import Columns, column_mapping
from atypia.cli.outputs import Overwrite
from atypia.errors import AtypiaError

if TYPE_CHECKING:
    from atypia.inference.record import RunRecord


def predict(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Images, folders of images, TIFFs of many pages, figure tables (.csv, .parquet), "
            "folders in a known layout; or one slide, with --points.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Predictions table: .csv, .parquet or .json; with --points also .geojson or "
            ".geojson.gz for QuPath, and .midog.json.",
        ),
    ] = Path("predictions.csv"),
    points: Annotated[
        Path | None,
        typer.Option(
            "--points",
            metavar="FILE",
            help="Points on the slide: QuPath GeoJSON, MIDOG JSON, or a table with x and y.",
        ),
    ] = None,
    names: classifying.ClassNames = None,
    object_type: classifying.ObjectType = None,
    origin: classifying.Origin = "bounds",
    area_mm2: Annotated[
        float | None,
        typer.Option(
            "--area-mm2", help="Of the tissue that figures were looked for in, for their density."
        ),
    ] = None,
    area_class: classifying.AreaClass = None,
    pictures: Annotated[
        bool,
        typer.Option(
            help="With --points: draw a contact sheet of the figures, and an overview of the slide."
        ),
    ] = True,
    bundle: classifying.Bundle = None,
    weights: classifying.Weights = None,
    mpp: Annotated[
        float | None,
        typer.Option(
            "--mpp",
            help="um/px, 0.05 to 5, of images for which no table states it; with --points, of the "
            "slide, whatever its file says.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option("--layout", help="Layout of a folder, where it is not to be found out."),
    ] = None,
    column: Columns = None,
    device: classifying.Device = "auto",
    precision: classifying.Precision = "auto",
    runtime: classifying.Runtime = "auto",
    threads: classifying.Threads = None,
    members: classifying.Members = None,
    batch_size: classifying.BatchSize = None,
    prevalence: classifying.Prevalence = None,
    overwrite: Overwrite = False,
) -> None:
    """Classify figures: P(atypical), the call, and whether a person should look.

    An image has its figure at the centre. Writes one row a figure, in the order given, and a
    record of the run beside it. Images that cannot be used are named, the others go on; the exit
    code is then 1.

    Example: atypia predict crops/ --mpp 0.25 --out predictions.csv

    Example: atypia predict case.svs --points mitoses.geojson --out classified.geojson
    """
    from atypia.cli.progress import progress_bars
    from atypia.inference.record import record_path
    from atypia.workflows.predict import predict as run

    for_points = {
        "--class": names,
        "--object-type": object_type,
        "--origin": origin != "bounds",
        "--area-mm2": area_mm2,
        "--area-class": area_class,
        "--no-pictures": not pictures,
    }
    density: list[str] = []
    files: tuple[Path, ...]
    with progress_bars() as on_progress:
        if points is None:
            for option, given in for_points.items():
                if given:
                    raise AtypiaError(
                        f"{option}: says something of points on a slide; give --points too"
                    )
            record = run(
                sources,
                out,
                bundle=bundle,
                mpp=mpp,
                layout=layout,
                mapping=column_mapping(column),
                batch_size=batch_size,
                threads=threads,
                members=members,
                weights=weights,
                device=device,
                precision=precision,
                prevalence=prevalence,
                runtime=runtime,
                overwrite=overwrite,
                on_progress=on_progress,
            )
            files = (out, record_path(out))
        else:
            from atypia.workflows.classify import Running
            from atypia.workflows.slide import PointsChoice, SlideJob, predict_slide

            if len(sources) != 1:
                raise AtypiaError(
                    f"--points {points}: belongs to one slide, but {len(sources)} sources are "
                    "given; give them one at a time, or a list of them to `atypia slides`"
                )
            if column:
                raise AtypiaError(
                    f"--column {column[0]}: names a column of a figure table, not of a slide with "
                    "--points; leave it out"
                )
            if layout is not None:
                raise AtypiaError(
                    f"--layout {layout}: is for folders of crops, not for a slide with --points; "
                    "leave it out"
                )
            done = predict_slide(
                SlideJob(sources[0], points, mpp, area_mm2),
                [out],
                running=Running(
                    bundle=bundle,
                    threads=threads,
                    members=members,
                    weights=weights,
                    device=device,
                    precision=precision,
                    batch_size=batch_size,
                    prevalence=prevalence,
                    runtime=runtime,
                ),
                choice=PointsChoice(tuple(names or ()), origin, object_type, area_class),
                pictures=_without_ending(out) if pictures else None,
                overwrite=overwrite,
                on_progress=on_progress,
            )
            record, files = done.record, done.files
            density = counts_in_words(done.counts)
    for line in [*_summary(record), *density, *(f"wrote {file}" for file in files)]:
        typer.echo(line)
    if record.failures:
        raise typer.Exit(1)


def _without_ending(out: Path) -> Path:
    """Return `case` of `case.geojson.gz`, `case.midog.json` or `case.csv`."""
    from atypia.inference.slides import SLIDE_ENDINGS

    fitting = [end for end in SLIDE_ENDINGS if out.name.lower().endswith(end)]
    longest = max(fitting, key=len, default="")
    return out.with_name(out.name[: len(out.name) - len(longest)] or out.name)


def _summary(record: RunRecord) -> list[str]:
    failed = f", {len(record.failures)} failed (named above)" if record.failures else ""
    return [
        f"{record.predicted} of {record.figures} figures classified{failed}: "
        f"{record.atypical} atypical, {record.predicted - record.atypical} normal; "
        f"{record.referred} to be looked at by a person",
        f"{record.seconds:.1f} s ({record.crops_per_s:.0f} crops/s): {record.reading_s:.1f} s in "
        f"reading, {record.network_s:.1f} s in the network, over {record.threads} threads side by "
        f"side ({record.runtime}, {record.device}, {record.precision})",
    ]
