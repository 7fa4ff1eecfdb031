"""`atypia train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from atypia.cli.figures import Columns, LayoutName, Mpp, Sources, open_sources
from atypia.cli.outputs import Overwrite


def train(
    sources: Sources,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Output folder of the run. Run again with the same folder to resume.",
        ),
    ],
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME_OR_FILE",
            help="Recipe: a name from `atypia recipes list`, or a TOML file.",
        ),
    ] = "lite",
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change one value of the recipe: section.key=value. May be repeated.",
        ),
    ] = None,
    layout: LayoutName = None,
    mpp: Mpp = None,
    column: Columns = None,
    unlabelled: Annotated[
        Path | None,
        typer.Option(
            "--unlabelled",
            "--adapt-to",
            metavar="FOLDER_OR_TABLE",
            help="Further figures, such as those of the laboratory to adapt to, that "
            "domain_adversarial or the teachers of distillation learn from. Labels are ignored; "
            "--mpp applies to these figures too.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE_OR_DIR",
            help="Published weights of the backbone, as downloaded by `atypia models fetch`. "
            "Default: the Hugging Face cache.",
        ),
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With adapter.kind=linear: folder that keeps embeddings for the next training. "
            "Default: a folder in --out.",
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Device that runs the network.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, metavar="N", help="CPU threads.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Train one member per fold, evaluate it out of fold, and write a bundle and a report.

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
    table = open_sources(sources, layout, mpp, column)
    others = None if unlabelled is None else open_sources(unlabelled, None, mpp, None)
    print_shares(console, expected_shares(table, settings))
    with progress_bars() as on_progress:
        result = run(
            table,
            settings,
            out,
            unlabelled=others,
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
        print("each domain, evaluated by a training without it:")
        print_summary(result.left_out, console)
    for name, path in (
        ("bundle", result.bundle),
        ("predictions", result.out_of_fold),
        ("report", result.report),
    ):
        print(f"{name}: {path}")
