"""Tables of names and numbers on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# A name is folded to no less than this.
_NAME_WIDTH = 12


def print_table(
    console: Console,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    sums: int = 0,
) -> None:
    """Print a table whose names fold and whose numbers never do.

    Where the console is too narrow for that, each number stands beside what it is. All text is
    printed as it is, brackets too.

    Args:
        console: where to.
        heads: of the columns; the first holds names, the others numbers.
        rows: as many cells each; a cell may have several lines.
        title: above the table.
        sums: how many rows at the end are of all together, and stand apart.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    widths = [
        max(cell_len(line) for cell in column for line in cell.splitlines() or [""])
        for column in zip(heads, *rows, strict=True)
    ]
    if title:
        console.print(Text(title, style="italic"))
    # A column has a space on either side, and another one to the next column.
    if console.width < 3 + _NAME_WIDTH + sum(width + 3 for width in widths[1:]):
        for name, *cells in rows:
            numbers = [
                f"{head} {' '.join(cell.split())}"
                for head, cell in zip(heads[1:], cells, strict=True)
                if cell
            ]
            console.print(Text(f"{' '.join(name.split())}: {', '.join(numbers)}"))
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(Text(heads[0]), overflow="fold")
    for head in heads[1:]:
        table.add_column(Text(head), justify="right", no_wrap=True)
    for place, row in enumerate(rows):
        if place == len(rows) - sums:
            table.add_section()
        style = "bold" if sums and place == len(rows) - 1 else None
        table.add_row(*map(Text, row), style=style)
    console.print(table)
