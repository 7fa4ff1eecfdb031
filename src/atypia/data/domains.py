"""Domains: combinations of tumour, scanner, laboratory and species."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.columns import DOMAIN_COLUMNS, UNKNOWN


def domain_names(frame: pd.DataFrame) -> npt.NDArray[Any]:
    """Return the domain of every figure, shape (N,), dtype object holding str.

    A name is the known parts, in the order tumour, scanner, laboratory, species, joined by ", ";
    it is "unknown" where no part is known.
    """
    parts = frame[list(DOMAIN_COLUMNS)]
    distinct = parts.drop_duplicates()
    named = {
        tuple(row): ", ".join(part for part in row if part != UNKNOWN) or UNKNOWN
        for row in distinct.itertuples(index=False)
    }
    names = [named[tuple(row)] for row in parts.itertuples(index=False)]
    return np.array(names, dtype=object)


def short_domain_names(names: Sequence[str]) -> dict[str, str]:
    """Return each domain's name without the parts that all domains share.

    Args:
        names: distinct names, parts joined by ", " as `domain_names` makes them.

    Returns:
        Name to short name; the whole name where nothing else would remain.
    """
    shared = set(shared_domain_parts(names))
    return {
        name: ", ".join(part for part in name.split(", ") if part not in shared) or name
        for name in names
    }


def shared_domain_parts(names: Sequence[str]) -> list[str]:
    """Return the parts that all of several domains share, in order; none of a single domain."""
    parts = [name.split(", ") for name in names]
    if len(parts) < 2:
        return []
    return [part for part in parts[0] if all(part in own for own in parts[1:])]
