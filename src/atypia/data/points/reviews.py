"""What a person looked at among the objects of a file, and what it was called.

QuPath keeps every object of a file, touched or not. Only what was looked at is a label: an object
whose class differs from the call that atypia noted beside it, one that is locked, and one that
atypia never classified. All others say what the classifier said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from atypia.data.points.qupath_results import ATYPICAL, NORMAL, UNKNOWN_CALL
from atypia.data.points.table import Points
from atypia.data.reviews import CHANGED, DRAWN, LOCKED, REVIEW, UNCHANGED

#: The classes that `atypia slide` writes, and the labels that they are.
OWN_LABELS = {ATYPICAL: 1.0, NORMAL: 0.0}


@dataclass(frozen=True)
class Reviews:
    """Labels of the points of one file.

    Attributes:
        frame: one row a label: `point_id`, `x`, `y`, `label` (1 atypical, 0 normal) and `review`,
            one of `REVIEWS`.
        untouched: how many objects nobody looked at.
        unknown: how many of these were classified by a version that noted no call, so that nobody
            knows whether they were changed.
        others: class -> number of objects of classes that are no label.
    """

    frame: pd.DataFrame
    untouched: int
    unknown: int
    others: Mapping[str, int]


def read_reviews(
    points: Points, labels: Mapping[str, float] = OWN_LABELS, *, everything: bool = False
) -> Reviews:
    """Tell labels from what merely stands in a file.

    Args:
        points: of a file; of one that is not QuPath's, a person gave every class.
        labels: class -> 1 (atypical) or 0 (normal).
        everything: every object was looked at.
    """
    rows: list[tuple[object, ...]] = []
    untouched, unknown, others = 0, 0, Counter[str]()
    absent = pd.Series("", points.frame.index)
    given = points.frame.get("given", absent)
    locked = points.frame.get("locked", absent == "locked")
    columns = (points.frame[name] for name in ("point_id", "x", "y", "name"))
    for point_id, x, y, name, call, is_locked in zip(*columns, given, locked, strict=True):
        if name not in labels:
            others[name] += 1
            continue
        review = _how(name, call, is_locked=bool(is_locked))
        if review == UNCHANGED and not everything:
            untouched += 1
            unknown += call == UNKNOWN_CALL
            continue
        rows.append((point_id, x, y, labels[name], review))
    frame = pd.DataFrame(rows, columns=["point_id", "x", "y", "label", REVIEW])
    return Reviews(frame, untouched, unknown, others)


def count_changed(points: Points) -> int:
    """Return how many objects have another class than atypia gave them."""
    given = points.frame.get("given")
    if given is None:
        return 0
    return int((~given.isin(["", UNKNOWN_CALL]) & (given != points.frame["name"])).sum())


def _how(name: str, call: str, *, is_locked: bool) -> str:
    if call == "":
        return DRAWN
    if call not in (name, UNKNOWN_CALL):
        return CHANGED
    return LOCKED if is_locked else UNCHANGED
