"""`atypia evaluate`: judge predictions against labels and votes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from atypia.cli import classifying
from atypia.cli.figures import Columns, LayoutName, Mpp, column_mapping
from atypia.cli.outputs import Overwrite
from atypia.errors import AtypiaError


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
        Path,
        typer.Option("--out", help="The report; report.metrics.json is written beside it."),
    ] = Path("report.html"),
    layout: LayoutName = None,
    column: Columns = None,
    protocol: Annotated[
        Literal["midog25-t2"] | None,
        typer.Option(
            "--protocol",
            help="Judge answers as the challenge does: domains are tumours; SOURCE has the columns "
            "stack and page.",
        ),
    ] = None,
    bundle: classifying.Bundle = None,
    weights: classifying.Weights = None,
    mpp: Mpp = None,
    device: classifying.Device = "auto",
    precision: classifying.Precision = "auto",
    runtime: classifying.Runtime = "auto",
    threads: classifying.Threads = None,
    members: classifying.Members = None,
    batch_size: classifying.BatchSize = None,
    prevalence: classifying.Prevalence = None,
    overwrite: Overwrite = False,
) -> None:
    """Judge predictions, or a bundle: balanced accuracy, AUROC, domains, calibration, and a report.

    Example: atypia evaluate predictions.csv --table figures.csv --out report.html

    Example: atypia evaluate --table figures.csv --bundle runs/first/bundle

    Example: atypia evaluate answers/ --protocol midog25-t2 --table stacks.csv
    """
    from rich.console import Console

    from atypia.cli.progress import progress_bars
    from atypia.cli.summary import print_summary
    from atypia.workflows import evaluate as judging
    from atypia.workflows.classify import Running

    for_bundle = {
        "--bundle": bundle,
        "--weights": weights,
        "--mpp": mpp,
        "--device": None if device == "auto" else device,
        "--precision": None if precision == "auto" else precision,
        "--runtime": None if runtime == "auto" else runtime,
        "--threads": threads,
        "--members": members,
        "--batch-size": batch_size,
        "--prevalence": prevalence,
    }
    mapping = column_mapping(column)
    written = [out, judging.metrics_path(out)]
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
                table,
                out,
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
                layout=layout,
                mapping=mapping,
                mpp=mpp,
                overwrite=overwrite,
                on_progress=on_progress,
            )
        failed = len(record.failures)
    else:
        for option, value in for_bundle.items():
            if value is not None:
                raise AtypiaError(
                    f"{option} {value}: is for a bundle that classifies, but the figures of "
                    f"{predictions} are classified already; leave out one of the two"
                )
        if protocol is None:
            judgement = judging.evaluate(
                predictions, table, out, layout=layout, mapping=mapping, overwrite=overwrite
            )
        else:
            from atypia.challenges.midog25.protocol import evaluate_answers

            judgement = evaluate_answers(
                predictions, table, out, layout=layout, mapping=mapping, overwrite=overwrite
            )
    print_summary(judgement, Console())
    for path in written:
        typer.echo(f"wrote {path}")
    if failed:
        raise typer.Exit(1)
