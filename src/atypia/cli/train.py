"""`atypia train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from atypia.cli.figures import Columns, LayoutName, Mpp, Sources, opened
from atypia.cli.outputs import Overwrite


def train(
    sources: Sources,
    out: Annotated[
        Path, typer.Option(help="Folder of the run. Run the same command again to resume.")
    ],
    recipe: Annotated[
        str, typer.Option(help="A TOML file, or a name from `atypia recipes list`.")
    ] = "lite",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value: section.key=value. May be repeated."),
    ] = None,
    layout: LayoutName = None,
    mpp: Mpp = None,
    column: Columns = None,
    adapt_to: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER_OR_TABLE",
            help="Figures of the laboratory to adapt to. Needs domain_adversarial.weight above 0; "
            "labels are ignored, and --mpp applies to them too.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE_OR_DIR",
            help="Published weights of the backbone, as `atypia models fetch` downloads them. "
            "[default: from the Hugging Face cache]",
        ),
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With adapter.kind=linear: folder that stores embeddings for reuse by later "
            "trainings. [default: a folder in --out]",
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where the network runs.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Train one network per fold, evaluate out of fold, and write a bundle and a report.

    Example: atypia train my_crops --mpp 0.25 --recipe lite --out runs/first

    Example: atypia train figures.csv downloads/AMi-Br --out runs/with-public-figures
    """
    from rich.console import Console

    from atypia.cli.progress import progress_bars
    from atypia.cli.shares import print_shares
    from atypia.cli.summary import print_probe, print_summary
    from atypia.training.devices import is_main_process
    from atypia.training.recipe_file import read_recipe
    from atypia.workflows.train import train as run
    from atypia.workflows.training.plan import expected_shares

    main = is_main_process()
    console = Console(quiet=not main)
    settings = read_recipe(recipe, changes or ())
    table = opened(sources, layout, mpp, column)
    unlabelled = None if adapt_to is None else opened(adapt_to, None, mpp, None)
    print_shares(console, expected_shares(table, settings))
    with progress_bars() as on_progress:
        result = run(
            table,
            settings,
            out,
            adapt_to=unlabelled,
            weights=weights,
            embeddings=embeddings,
            device=device,
            threads=threads,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    if not main:
        return
    print_summary(result.judgement, console)
    print_probe(result.story)
    if result.left_out is not None:
        print("each domain when left out of training:")
        print_summary(result.left_out, console)
    for name, path in (
        ("bundle", result.bundle),
        ("predictions", result.out_of_fold),
        ("report", result.report),
    ):
        print(f"{name}: {path}")
