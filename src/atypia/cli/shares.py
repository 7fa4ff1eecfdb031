"""The table of what an epoch holds, as `train` and `demo` print it before they begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console


def print_shares(console: Console, shares: pd.DataFrame) -> None:
    """Print, for each domain and class, its figures and its expected share of an epoch."""
    from rich.table import Table

    table = Table(title="What an epoch holds", title_justify="left")
    table.add_column("domain", overflow="fold")
    for name in ("class", "figures", "in the data", "in an epoch"):
        table.add_column(name, justify="right")
    total = shares["figures"].sum()
    for row in shares.itertuples():
        table.add_row(
            str(row.domain),
            str(row.call),
            f"{row.figures}",
            f"{row.figures / total:.1%}",
            f"{row.share:.1%}",
        )
    console.print(table)
