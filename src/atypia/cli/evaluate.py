"""`atypia evaluate`: judge predictions against labels and votes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def evaluate(
    *,
    predictions: Annotated[
        Path | None,
        typer.Argument(
            help="Predictions table: CSV, Parquet or JSON; with --protocol a challenge's answers, "
            "one file or a folder of them. Without it, the bundle classifies the figures first.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[
        Path,
        typer.Option(
            "--table",
            metavar="SOURCE",
            help="The figures, with labels or votes: a figure table or a folder in a known layout.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="The report; metrics.json is written beside it.")
    ] = Path("report.html"),
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="DIR",
            help="Classifies where no predictions are given; without it, the one that comes with "
            "atypia.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option("--layout", help="Layout of SOURCE, where it is not to be found out."),
    ] = None,
    protocol: Annotated[
        Literal["midog25-t2"] | None,
        typer.Option(
            "--protocol",
            help="Judge answers as the challenge does: domains are tumours; SOURCE has the columns "
            "stack and page.",
        ),
    ] = None,
) -> None:
    """Judge predictions, or a bundle: balanced accuracy, AUROC, domains, calibration, and a report.

    Example: atypia evaluate predictions.csv --table figures.csv --out report.html

    Example: atypia evaluate --table figures.csv --bundle runs/first/bundle

    Example: atypia evaluate answers/ --protocol midog25-t2 --table stacks.csv
    """
    from rich.console import Console

    from atypia.cli.progress import progress_bars
    from atypia.cli.summary import print_summary
    from atypia.errors import AtypiaError
    from atypia.workflows import evaluate as judging

    written = [out, out.with_name(judging.METRICS_NAME)]
    failed = 0
    if predictions is None:
        if protocol is not None:
            raise AtypiaError(
                f"--protocol {protocol}: judges answers; give the file or folder of them, as "
                "`atypia challenge` writes it"
            )
        written.append(judging.predictions_path(out))
        with progress_bars() as on_progress:
            judgement, record = judging.evaluate_bundle(
                table, out, bundle=bundle, layout=layout, on_progress=on_progress
            )
        failed = len(record.failures)
    elif bundle is not None:
        raise AtypiaError(
            f"--bundle {bundle}: {predictions} is classified already; give one of the two"
        )
    else:
        run = judging.evaluate if protocol is None else judging.evaluate_challenge
        judgement = run(predictions, table, out, layout=layout)
    console = Console()
    print_summary(judgement, console)
    for path in written:
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)
