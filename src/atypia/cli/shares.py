"""The composition of an epoch, printed before a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atypia.cli.tables import print_table

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console


def print_shares(console: Console, shares: pd.DataFrame) -> None:
    """Print one row per domain: figures of each class, their share in the data and in an epoch."""
    from atypia.data.domains import short_domain_names

    short = short_domain_names(sorted(set(shares["domain"])))
    total = shares["figures"].sum()
    rows = []
    for domain, cells in shares.groupby("domain", sort=True):
        row = [short[str(domain)]]
        for kind in ("normal", "atypical"):
            cell = cells[cells["call"] == kind]
            figures, share = int(cell["figures"].sum()), float(cell["share"].sum())
            row += [f"{figures}", f"{figures / total:.1%}", f"{share:.1%}"]
        rows.append(row)
    heads = ("domain", "normal", "in data", "in epoch", "atypical", "in data", "in epoch")
    print_table(console, heads, rows, title="Composition of an epoch")
