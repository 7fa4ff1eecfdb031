"""`atypia evaluate`: judge predictions against labels and votes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def evaluate(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="Predictions table: CSV, Parquet or JSON; with --protocol a challenge's answers, "
            "one file or a folder of them.",
            show_default=False,
        ),
    ],
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
    """Judge predictions: balanced accuracy, AUROC, domains, calibration, and a report.

    Example: atypia evaluate predictions.csv --table figures.csv --out report.html

    Example: atypia evaluate answers/ --protocol midog25-t2 --table stacks.csv
    """
    from rich.console import Console

    from atypia.cli.summary import print_summary
    from atypia.workflows.evaluate import METRICS_NAME, evaluate_challenge
    from atypia.workflows.evaluate import evaluate as evaluate_table

    run = evaluate_table if protocol is None else evaluate_challenge
    judgement = run(predictions, table, out, layout=layout)
    console = Console()
    print_summary(judgement, console)
    for path in (out, out.with_name(METRICS_NAME)):
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)
