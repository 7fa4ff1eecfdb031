"""`atypia challenge`: the programs that challenges run in a container."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atypia.cli.outputs import Overwrite

app = typer.Typer(no_args_is_help=True, help="Answer a challenge, as its container does.")


@app.callback()
def _challenges() -> None:
    """Keep the challenge's name a word of the command, also while there is only one."""


@app.command("midog25-t2")
def midog25_t2(
    folder: Annotated[
        Path, typer.Option("--input", metavar="DIR", help="inputs.json and images/ lie here.")
    ] = Path("/input"),
    out: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="The answers are written here.")
    ] = Path("/output"),
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="DIR",
            help="The bundle; without it /opt/ml/model if that holds one, else the container's "
            "(/opt/atypia/bundle), else the one that comes with atypia.",
        ),
    ] = None,
    mpp: Annotated[
        float, typer.Option("--mpp", help="um/px of every page; the challenge's crops have 0.25.")
    ] = 0.25,
    overwrite: Overwrite = False,
) -> None:
    """Answer MIDOG 2025, track 2: one stack of crops of 128 x 128 px, TIFF or .mha.

    Writes multiple-mitotic-figure-classification.json, one entry a page, in order; `confidence` is
    P(atypical), whatever the class. A page that cannot be used is named and gets the share of
    atypical figures in training; the exit code is then 1.

    Example: atypia challenge midog25-t2 --input case/input --output case/output --bundle bundle
    """
    from atypia.challenges.midog25.program import answer_stack

    done = answer_stack(folder, out, bundle=bundle, mpp=mpp, overwrite=overwrite)
    unread = f" ({done.unread} of them not seen, named above)" if done.unread else ""
    typer.echo(
        f"{done.pages} pages{unread}: {done.atypical} atypical, {done.pages - done.atypical} normal"
    )
    typer.echo(f"wrote {done.path}")
    if done.unread:
        raise typer.Exit(1)
