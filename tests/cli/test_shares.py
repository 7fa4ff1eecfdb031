"""The composition of an epoch, printed before a training."""

from __future__ import annotations

import io

import pandas as pd
from rich.console import Console

from atypia.cli.shares import print_shares


def test_the_shares_of_an_epoch_name_domains_as_they_are() -> None:
    shares = pd.DataFrame(
        {
            "domain": ["[/lab] A", "[/lab] A", "[red] B", "[red] B"],
            "call": ["normal", "atypical"] * 2,
            "figures": [3, 1, 3, 1],
            "share": [0.25] * 4,
        }
    )
    console = Console(file=io.StringIO(), width=100)
    print_shares(console, shares)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[/lab] A" in printed and "[red] B" in printed
    assert printed.count("37.5%") == 2 and printed.count("12.5%") == 2
