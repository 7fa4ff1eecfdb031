"""`atypia demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atypia.cli.outputs import Overwrite


def demo(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Output folder.")] = Path("demo"),
    overwrite: Overwrite = False,
) -> None:
    """Run the full pipeline on synthetic data: create, classify, train, evaluate, report.

    First, the bundle that comes with atypia, trained on real figures only, classifies synthetic
    ones. Then a classifier is trained on synthetic figures, leaving out each of three synthetic
    laboratories in turn; the report evaluates every figure with the member that has not seen its
    laboratory. Takes a few minutes on 2 cores.

    Example: atypia demo
    """
    from rich.console import Console

    from atypia.cli.progress import progress_bars
    from atypia.cli.summary import print_summary
    from atypia.workflows.demo import demo as run

    with progress_bars() as on_progress:
        made = run(out, overwrite=overwrite, on_progress=on_progress)
    console = Console()
    typer.echo("atypia-lite, trained on real figures, evaluated on synthetic ones:")
    print_summary(made.shipped, console)
    typer.echo(
        "Trained on synthetic figures, each laboratory evaluated by a member that has not seen it:"
    )
    print_summary(made.run.judgement, console)
    typer.echo(f"bundle: {made.run.bundle}")
    typer.echo(f"predictions: {made.predictions}")
    typer.echo(f"reports: {made.shipped_report}, {made.run.report}")
