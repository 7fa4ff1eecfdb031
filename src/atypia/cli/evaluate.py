"""`atypia evaluate`: judge predictions against labels and votes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from atypia.evaluation.judge import Judgement


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(help="Predictions table: CSV, Parquet or JSON.", show_default=False)
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
) -> None:
    """Judge predictions: balanced accuracy, AUROC, domains, calibration, and a report.

    Example: atypia evaluate predictions.csv --table figures.csv --out report.html
    """
    from rich.console import Console

    from atypia.workflows.evaluate import METRICS_NAME
    from atypia.workflows.evaluate import evaluate as run

    judgement = run(predictions, table, out, layout=layout)
    console = Console()
    _print_summary(judgement, console)
    for note in judgement.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    for path in (out, out.with_name(METRICS_NAME)):
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)


def _print_summary(judgement: Judgement, console: Console) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from atypia.evaluation.judge import short_domain_names

    names = ("balanced_accuracy", "auroc", "sensitivity", "specificity")
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("", overflow="fold")
    for title in ("figures", "AMF", "BA", "AUROC", "sens.", "spec."):
        shown.add_column(title, justify="right", no_wrap=True)
    frame = judgement.domains.frame
    short = short_domain_names(list(frame["domain"]))
    for row in frame.to_dict(orient="records"):
        counts = (str(row["figures"]), str(row["atypical"]))
        shown.add_row(
            escape(short[row["domain"]]), *counts, *(_number(row[name]) for name in names)
        )
    shown.add_section()
    if judgement.domains.counted > 1:
        for key, words in (("mean", "mean over domains"), ("worst", "worst domain")):
            values = judgement.domains.summary[key]
            shown.add_row(words, "", "", *(_number(values[name]) for name in names))
    overall = judgement.overall
    cells = [_number(getattr(overall, name)) for name in names]
    shown.add_row("all figures", str(overall.figures), str(overall.atypical), *cells, style="bold")
    console.print(shown)
    for words, span in (
        ("balanced accuracy (BA)", judgement.balanced_accuracy_interval),
        ("AUROC", judgement.auroc_interval),
    ):
        if span is not None:
            console.print(
                f"{words}, all figures: 95 % interval {span.low:.3f} to {span.high:.3f} "
                f"over {judgement.cases} cases",
                highlight=False,
            )


def _number(value: float | None) -> str:
    """Return three decimals, or a dash for what is not defined (None or NaN)."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"
