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

    from atypia.cli.outcome import print_outcome
    from atypia.cli.progress import progress_bars
    from atypia.workflows.demo import demo as run

    with progress_bars() as on_progress:
        result = run(out, on_progress)
    print_outcome(Console(), result)
    print(f"predictions of all figures: {out / 'predictions.csv'}")
