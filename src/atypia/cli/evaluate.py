"""`atypia evaluate`: compare predictions with labels and votes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from atypia.cli.figures import Columns, LayoutName, Mpp, column_mapping
from atypia.cli.options import changed_flags, with_predict_options
from atypia.cli.outputs import Overwrite
from atypia.errors import AtypiaError
from atypia.inference.options import PredictOptions


@with_predict_options
def evaluate(
    *,
    predictions: Annotated[
        Path | None,
        typer.Argument(
            metavar="PREDICTIONS",
            help="Predictions table (CSV, Parquet, JSON); with --protocol, a challenge's answers "
            "(one file or a folder). If omitted, the bundle classifies the figures first.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[
        list[Path],
        typer.Option(
            "--table",
            metavar="SOURCE",
            help="Figures with labels or votes: a figure table, or a folder in a known layout. May "
            "be repeated.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Report to write; its metrics go into report.metrics.json beside it.",
        ),
    ] = Path("report.html"),
    layout: LayoutName = None,
    column: Columns = None,
    protocol: Annotated[
        Literal["midog25-t2"] | None,
        typer.Option(
            "--protocol",
            help="Score answers as the challenge does, by tumour. The table needs the columns "
            "stack and page.",
        ),
    ] = None,
    mpp: Mpp = None,
    options: PredictOptions,
    overwrite: Overwrite = False,
) -> None:
    """Evaluate predictions or a bundle, by domain: balanced accuracy, AUROC, calibration, report.

    Example: atypia evaluate predictions.csv --table figures.csv --out report.html

    Example: atypia evaluate --table figures.csv --bundle runs/first/bundle

    Example: atypia evaluate --table figures.csv --table downloads/AMi-Br

    Example: atypia evaluate answers/ --protocol midog25-t2 --table stacks.csv
    """
    from rich.console import Console

    from atypia.cli.progress import progress_bars
    from atypia.cli.summary import print_summary
    from atypia.workflows import evaluate as judging

    for_bundle = changed_flags(options) | ({} if mpp is None else {"--mpp": mpp})
    mapping = column_mapping(column)
    written = [out, judging.metrics_path(out)]
    failed = 0
    if predictions is None:
        if protocol is not None:
            raise AtypiaError(
                f"--protocol {protocol}: needs a challenge's answers; give the file or folder that "
                "`atypia challenge` wrote"
            )
        written.append(judging.predictions_path(out))
        with progress_bars() as on_progress:
            judgement, record = judging.evaluate_bundle(
                table,
                out,
                options=options,
                layout=layout,
                mapping=mapping,
                mpp=mpp,
                overwrite=overwrite,
                on_progress=on_progress,
            )
        failed = len(record.failures)
    else:
        for option, value in for_bundle.items():
            raise AtypiaError(
                f"{option} {value}: applies only if a bundle classifies the figures; leave out "
                f"{option} or {predictions}"
            )
        if protocol is None:
            judgement = judging.evaluate(
                predictions, table, out, layout=layout, mapping=mapping, overwrite=overwrite
            )
        else:
            from atypia.challenges.midog25.protocol import evaluate_answers

            if len(table) > 1:
                raise AtypiaError(f"--protocol {protocol}: expected one --table, not {len(table)}")
            judgement = evaluate_answers(
                predictions, table[0], out, layout=layout, mapping=mapping, overwrite=overwrite
            )
    print_summary(judgement, Console())
    for path in written:
        typer.echo(f"wrote {path}")
    if failed:
        raise typer.Exit(1)
