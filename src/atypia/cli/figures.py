"""The options with which every verb is given figures, and how it opens them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atypia.errors import AtypiaError

if TYPE_CHECKING:
    from atypia.data.table import FigureTable

Source = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="A figure table (.csv, .parquet), or a folder in a known layout: ami-br, "
        "ami-br-benchmark, midog25, omg-octo, class-folders, or one with a figures.csv.",
        show_default=False,
    ),
]
LayoutName = Annotated[
    str | None,
    typer.Option("--layout", help="Layout of the folder; detected automatically if omitted."),
]
Mpp = Annotated[
    float | None,
    typer.Option("--mpp", help="um/px, 0.05 to 5, of the figures for which SOURCE states none."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="OURS=THEIRS",
        help="Name a column of the table, e.g. label=majority. Once for each column.",
    ),
]


def column_mapping(columns: list[str] | None) -> dict[str, str] | None:
    """Return our column name -> theirs, as `--column` gives them; None without any."""
    mapping: dict[str, str] = {}
    for pair in columns or ():
        ours, equals, theirs = pair.partition("=")
        if not (ours.strip() and equals and theirs.strip()):
            raise AtypiaError(f"--column {pair}: expected OURS=THEIRS, e.g. label=majority")
        if ours.strip() in mapping:
            raise AtypiaError(f"--column {pair}: {ours.strip()} is named twice")
        mapping[ours.strip()] = theirs.strip()
    return mapping or None


def opened(
    source: Path, layout: str | None, mpp: float | None, columns: list[str] | None
) -> FigureTable:
    """Open a figure table or a folder in a known layout, and print its notes to stderr."""
    from atypia.data.readers.opening import open_figures

    table = open_figures(source, layout=layout, mapping=column_mapping(columns), mpp=mpp)
    for note in table.notes:
        typer.echo(f"note: {source}: {note}", err=True)
    return table
