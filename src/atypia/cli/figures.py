"""The options with which every verb is given figures, and how it opens them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atypia.errors import AtypiaError

if TYPE_CHECKING:
    from atypia.data.table import FigureTable

_KINDS = (
    "figure table (.csv, .parquet), or a folder in a known layout: ami-br, ami-br-benchmark, "
    "midog25, omg-octo, class-folders, or one with a figures.csv."
)
Source = Annotated[Path, typer.Argument(metavar="SOURCE", help=f"A {_KINDS}", show_default=False)]
Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="SOURCE...",
        help=f"A {_KINDS} Several, such as your own figures and a public set, are put together; "
        "names are then SOURCE/NAME.",
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
    sources: Path | Sequence[Path],
    layout: str | None,
    mpp: float | None,
    columns: list[str] | None,
) -> FigureTable:
    """Open figure tables and folders in known layouts, and print their notes to stderr."""
    from atypia.data.readers.open_figures import open_figures

    several = [sources] if isinstance(sources, Path) else sources
    table = open_figures(several, layout=layout, mapping=column_mapping(columns), mpp=mpp)
    of = f"{several[0]}: " if len(several) == 1 else ""  # of several, each note names its own
    for note in table.notes:
        typer.echo(f"note: {of}{note}", err=True)
    return table


def shown_sources(sources: Sequence[Path]) -> str:
    """Return sources as they were given, for a line of output."""
    return " and ".join(map(str, sources))
