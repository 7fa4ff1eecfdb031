"""`atypia predict`: from images to P(atypical)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from atypia.cli.figures import Columns, LayoutName, column_mapping
from atypia.cli.options import with_predict_options
from atypia.cli.outputs import Overwrite
from atypia.errors import AtypiaError
from atypia.inference.options import PredictOptions

SLIDE_VERB = "slide"


@with_predict_options
def predict(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE",
            help="Images, folders of images, multi-page TIFFs, figure tables (.csv, .parquet) or "
            "folders in a known layout.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="Predictions table: .csv, .parquet or .json."),
    ] = Path("predictions.csv"),
    format: Annotated[
        Literal["table", "label-studio"],
        typer.Option(
            "--format",
            help="table: a predictions table; label-studio: tasks with predictions, to import into "
            "Label Studio (--out FILE.json, in a folder above the images).",
        ),
    ] = "table",
    options: PredictOptions,
    mpp: Annotated[
        float | None,
        typer.Option(
            "--mpp",
            metavar="NUMBER",
            help="Pixel size in um/px, 0.05 to 5, of images for which no table states it.",
        ),
    ] = None,
    layout: LayoutName = None,
    column: Columns = None,
    overwrite: Overwrite = False,
) -> None:
    """Classify images of mitotic figures: P(atypical), call, and whether to refer to a person.

    Each image has its figure at the centre. Writes one row per figure, in input order, and a record
    of the run beside the table. Images that cannot be used are named; the others are still
    classified, and the exit code is 1. For points on a slide: atypia slide.

    Example: atypia predict crops/ --mpp 0.25 --out predictions.csv
    """
    from atypia.cli.progress import progress_bars
    from atypia.cli.summary import describe_run
    from atypia.inference.record import record_path
    from atypia.workflows.predict import predict as run

    with progress_bars() as on_progress:
        record = run(
            sources,
            out,
            options,
            format=format,
            mpp=mpp,
            layout=layout,
            mapping=column_mapping(column),
            overwrite=overwrite,
            on_progress=on_progress,
        )
    for line in [*describe_run(record), f"wrote {out}", f"wrote {record_path(out)}"]:
        typer.echo(line)
    if record.failures:
        raise typer.Exit(1)


class PredictCommand(TyperCommand):
    """`predict`, which passes slides with points to the verb for them, as it once took both."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Return the context of this command, or of `slide` if `--points` is given."""
        slide = None if parent is None else parent.command.get_command(parent, SLIDE_VERB)
        if slide is None:
            return super().make_context(info_name, args, parent, **extra)
        words = args[: args.index("--")] if "--" in args else args
        typed = {word.partition("=")[0] for word in words if word.startswith("--")}
        if "--points" in typed:
            typer.echo(
                f"warning: use `atypia {SLIDE_VERB} SLIDE --points FILE` for points on a slide; "
                "`atypia predict` is for images",
                err=True,
            )
            return slide.make_context(SLIDE_VERB, args, parent, **extra)
        for option in sorted(typed & (_flags(slide) - _flags(self))):
            raise AtypiaError(
                f"{option}: is for points on a slide; use `atypia {SLIDE_VERB} SLIDE --points FILE`"
            )
        return super().make_context(info_name, args, parent, **extra)


def _flags(command: Any) -> set[str]:
    return {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
