"""`atypia train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    source: Annotated[
        Path, typer.Argument(help="A figure table (CSV, Parquet) or a folder in a known layout.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; started again, it goes on there.")],
    recipe: Annotated[
        str, typer.Option(help="A TOML file, or a name from `atypia recipes list`.")
    ] = "lite",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value: section.key=value. May be repeated."),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="The folder's layout, where it is not found by itself.")
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="um/px of the crops, where the source does not say.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """Train one member a fold, judge out of fold, and write a bundle and a report.

    Example: atypia train my_crops --mpp 0.25 --recipe lite --out runs/first
    """
    from rich.console import Console

    from atypia.cli.outcome import print_outcome
    from atypia.cli.progress import progress_bars
    from atypia.cli.shares import print_shares
    from atypia.data.readers.opening import open_figures
    from atypia.training.recipe import read_recipe
    from atypia.workflows.train import expected_shares
    from atypia.workflows.train import train as run

    console = Console()
    settings = read_recipe(recipe, changes or ())
    table = open_figures(source, layout=layout, mpp=mpp)
    print_shares(console, expected_shares(table, settings))
    with progress_bars() as on_progress:
        result = run(table, settings, out, device=device, threads=threads, on_progress=on_progress)
    print_outcome(console, result)
