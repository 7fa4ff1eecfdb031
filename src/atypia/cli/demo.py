"""`atypia demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atypia.cli.outputs import Overwrite


def demo(
    out: Annotated[Path, typer.Argument(help="Folder for all that the demo makes.")] = Path("demo"),
    overwrite: Overwrite = False,
) -> None:
    """Walk the whole road on synthetic figures: make, classify, train, judge, predict, report.

    The bundle that comes with atypia, which has seen real figures only, classifies them first. Then
    they are trained on: each of three synthetic laboratories is left out once, and the report
    judges every figure by the member that has not seen its laboratory. A few minutes on 2 cores.

    Example: atypia demo
    """
    from rich.console import Console

    from atypia.cli.progress import progress_bars
    from atypia.cli.summary import print_summary
    from atypia.workflows.demo import demo as run

    with progress_bars() as on_progress:
        made = run(out, on_progress, overwrite=overwrite)
    console = Console()
    typer.echo("The bundle that comes with atypia, trained on real figures, on synthetic ones:")
    print_summary(made.shipped, console)
    typer.echo("Trained on synthetic figures, each laboratory judged without having been seen:")
    print_summary(made.run.judgement, console)
    typer.echo(f"bundle: {made.run.bundle}")
    typer.echo(f"predictions: {made.predictions}")
    typer.echo(f"reports: {made.shipped_report}, {made.run.report}")
