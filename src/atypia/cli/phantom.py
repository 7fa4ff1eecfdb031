"""`atypia data phantom`: write a synthetic cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atypia.cli.outputs import Overwrite


def phantom(
    out: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Output folder; an earlier cohort in it is replaced."),
    ],
    figures: Annotated[int, typer.Option(help="Number of figures.")] = 240,
    domains: Annotated[int, typer.Option(help="Number of domains, 1 to 6.")] = 3,
    slides: Annotated[int, typer.Option(help="Number of slides per domain.")] = 8,
    atypical: Annotated[float, typer.Option(help="True share of atypical figures, 0 to 1.")] = 0.3,
    size: Annotated[int, typer.Option(help="Side of a crop in px.")] = 128,
    seed: Annotated[
        int, typer.Option(help="Random seed; the same seed gives the same cohort.")
    ] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Create a synthetic cohort: crops, a table with experts' votes, and the ground truth.

    Example: atypia data phantom cohort --figures 240 --seed 0
    """
    from atypia.data.phantom import make_phantom

    table = make_phantom(
        out,
        figures=figures,
        domains=domains,
        slides_per_domain=slides,
        atypical_share=atypical,
        size_px=size,
        seed=seed,
        overwrite=overwrite,
    )
    typer.echo(f"{len(table)} figures: {out / 'figures.csv'}; ground truth: {out / 'truth.csv'}")
