"""Domains: combinations of tumour, scanner, laboratory and species."""

from __future__ import annotations

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
