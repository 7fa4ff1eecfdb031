"""`atypia demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Argument(help="Folder for all that the demo makes.")] = Path("demo"),
) -> None:
    """Walk the whole road on synthetic figures: make them, train, judge, predict, report.

    Each of three synthetic laboratories is left out once; the report judges every figure by the
    member that has not seen its laboratory. About two minutes on 2 cores.

    Example: atypia demo
    """
    from rich.console import Console

    from atypia.cli.progress import progress_bars
    from atypia.cli.summary import print_summary
    from atypia.workflows.demo import demo as run

    with progress_bars() as on_progress:
        result = run(out, on_progress)
    print_summary(result.judgement, Console())
    print(f"bundle: {result.bundle}")
    print(f"predictions: {out / 'predictions.csv'}")
    print(f"report: {result.report}")
