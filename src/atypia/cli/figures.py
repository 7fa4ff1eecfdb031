"""The options that name figures, the same for every verb, and how they are opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atypia.errors import AtypiaError

if TYPE_CHECKING:
    from atypia.data.table import FigureTable

_KINDS = (
    "Figure table (.csv, .parquet), or folder in a known layout: ami-br, ami-br-benchmark, "
    "midog25, omg-octo, class-folders, or any folder with a figures.csv."
)
Source = Annotated[Path, typer.Argument(metavar="SOURCE", help=_KINDS, show_default=False)]
Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="SOURCE",
        help=f"{_KINDS} Give several to combine them, such as your own figures and a public set; "
        "names then become SOURCE/NAME.",
        show_default=False,
    ),
]
LayoutName = Annotated[
    str | None,
    typer.Option(
        "--layout", metavar="NAME", help="Folder layout; detected automatically if omitted."
    ),
]
Mpp = Annotated[
    float | None,
    typer.Option(
        "--mpp",
        metavar="NUMBER",
        help="Pixel size in um/px, 0.05 to 5, of figures for which the source states none.",
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="OURS=THEIRS",
        help="Read a column by another name: label=majority reads the column majority as label. "
        "May be repeated.",
    ),
]


def column_mapping(columns: list[str] | None) -> dict[str, str] | None:
    """Return our column name -> theirs, from `--column`; None if it is not given."""
    mapping: dict[str, str] = {}
    for pair in columns or ():
        ours, equals, theirs = pair.partition("=")
        if not (ours.strip() and equals and theirs.strip()):
            raise AtypiaError(f"--column {pair}: expected OURS=THEIRS, e.g. label=majority")
        if ours.strip() in mapping:
            raise AtypiaError(f"--column {pair}: {ours.strip()} is named twice")
        mapping[ours.strip()] = theirs.strip()
    return mapping or None


def open_sources(
    sources: Path | Sequence[Path],
    layout: str | None,
    mpp: float | None,
    columns: list[str] | None,
) -> FigureTable:
    """Open figure tables and folders in known layouts, and print their notes to stderr."""
    from atypia.data.readers.open_figures import open_figures

    paths = [sources] if isinstance(sources, Path) else sources
    table = open_figures(paths, layout=layout, mapping=column_mapping(columns), mpp=mpp)
    prefix = f"{paths[0]}: " if len(paths) == 1 else ""  # of several, each note names its own
    for note in table.notes:
        typer.echo(f"note: {prefix}{note}", err=True)
    return table


def join_names(sources: Sequence[Path]) -> str:
    """Return the names of sources as the user typed them, for a line of output."""
    return " and ".join(map(str, sources))
