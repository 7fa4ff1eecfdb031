"""How the labels of a figure table came about, where they are an expert's answers to calls."""

from __future__ import annotations

import pandas as pd

from atypia.data.table import FigureTable
from atypia.errors import TableError

#: The column of a figure table that says how a label came about, and what stands in it: the call
#: was changed, or confirmed by locking the object; there was no call; or nobody touched the object.
REVIEW = "review"
CHANGED, LOCKED, DRAWN, UNCHANGED = REVIEWS = ("changed", "locked", "drawn", "unchanged")


def are_errors_alone(frame: pd.DataFrame) -> bool:
    """Return whether all figures are calls that somebody changed: the classifier's errors alone."""
    return REVIEW in frame and len(frame) > 0 and bool((frame[REVIEW] == CHANGED).all())


def require_more_than_errors(table: FigureTable) -> None:
    """Refuse to judge by figures that are the classifier's errors alone.

    Raises:
        TableError: they are.
    """
    if are_errors_alone(table.frame):
        raise TableError(
            f"{table.where}: all {len(table):,} figures are calls that somebody changed (column "
            f"{REVIEW}), the classifier's errors alone, by which nothing can be judged; lock in "
            "QuPath what you agree with as well, and make the figures again"
        )
