"""`atypia challenge`: the programs that run in the containers of challenges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atypia.cli.outputs import Overwrite

app = typer.Typer(
    no_args_is_help=True, help="Run the program of a challenge, as its container does."
)


@app.callback()
def _challenges() -> None:
    """Keep the challenge's name part of the command, even while there is only one."""


@app.command("midog25-t2")
def midog25_t2(
    folder: Annotated[
        Path, typer.Option("--input", metavar="DIR", help="Folder with inputs.json and images/.")
    ] = Path("/input"),
    out: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Folder for the answers.")
    ] = Path("/output"),
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="DIR",
            help="Folder of the bundle. Default: /opt/ml/model if it holds one, else the "
            "container's (/opt/atypia/bundle), else the one that comes with atypia.",
        ),
    ] = None,
    mpp: Annotated[
        float,
        typer.Option("--mpp", metavar="NUMBER", help="Pixel size of every page in um/px."),
    ] = 0.25,
    overwrite: Overwrite = False,
) -> None:
    """Answer MIDOG 2025, track 2: one stack of 128 x 128 px crops, TIFF or .mha.

    Writes multiple-mitotic-figure-classification.json, one entry per page, in order; confidence is
    P(atypical), whatever the class. A page that cannot be used is named and gets the share of
    atypical figures in training as its confidence; the exit code is then 1.

    Example: atypia challenge midog25-t2 --input case/input --output case/output --bundle bundle
    """
    from atypia.challenges.midog25.program import answer_stack

    done = answer_stack(folder, out, bundle=bundle, mpp=mpp, overwrite=overwrite)
    unread = f" ({done.unread} unusable, named above)" if done.unread else ""
    typer.echo(
        f"{done.pages} pages{unread}: {done.atypical} atypical, {done.pages - done.atypical} normal"
    )
    typer.echo(f"wrote {done.path}")
    if done.unread:
        raise typer.Exit(1)
