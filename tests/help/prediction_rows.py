"""Rows of a predictions table, for tests of what writes it."""

from __future__ import annotations

import pandas as pd


def rows(first: int, count: int, spread: float = 0.125) -> pd.DataFrame:
    """Return `count` rows, of which no two are alike, from number `first` on."""
    numbers = range(first, first + count)
    return pd.DataFrame(
        {
            "figure_id": [f'f "{n}", é' for n in numbers],
            "image": [f"a b/{n}.png" for n in numbers],
            "p_atypical": [1 / (n + 3) for n in numbers],
            "call": ["atypical" if n % 2 else "normal" for n in numbers],
            "refer": [n % 3 == 0 for n in numbers],
            "spread": [spread for _ in numbers],
            "phase": "",
            "in_scope": [n % 4 != 0 for n in numbers],
            "scope_reason": ["" if n % 4 else "ink" for n in numbers],
        }
    )
