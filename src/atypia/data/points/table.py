"""Points on one slide, whatever file they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from atypia.errors import TableError


@dataclass(frozen=True)
class Points:
    """Points on one slide.

    Attributes:
        path: file they were read from.
        frame: columns `point_id` (str, unique), `x` and `y` (float64, finite, px of the slide's
            level 0), `name` (str, the class they have in the file, "" without one); further
            columns say where in the file a point stands. The index counts from 0.
        failures: what could not be used and why, one line each; the good rest is in `frame`.
        warnings: what a user should know of the file, one line each; every point is used.
    """

    path: Path
    frame: pd.DataFrame
    failures: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)


def points_of(
    path: Path,
    rows: Sequence[Mapping[str, object]] | pd.DataFrame,
    failures: list[str],
) -> Points:
    """Make points of rows, and leave out those that cannot be used.

    Args:
        path: file they were read from.
        rows: `point_id`, `x`, `y`, `name` and `place` (where it stands in the file, in words) of
            each point, and whatever else a reader keeps. A point_id that stands twice gets its
            number behind it.
        failures: of the reader; those found here are added.

    Raises:
        TableError: nothing is left.
    """
    frame = pd.DataFrame(rows)
    if not frame.empty:
        finite = np.isfinite(frame[["x", "y"]].to_numpy(dtype=np.float64)).all(axis=1)
        failures = failures + [
            f"{path}, {row.place}: x {row.x}, y {row.y} is no place on a slide; give finite numbers"
            for row in frame[~finite].itertuples()
        ]
        frame = frame[finite].reset_index(drop=True)
    if frame.empty:
        first = f" ({failures[0]})" if failures else ""
        raise TableError(f"{path}: holds no point that can be used{first}")
    frame = frame.astype({"x": np.float64, "y": np.float64})
    again = frame.groupby("point_id").cumcount()
    if again.any():
        frame["point_id"] = np.where(
            again > 0, frame["point_id"] + "#" + (again + 1).astype(str), frame["point_id"]
        )
    return Points(path, frame, tuple(failures))
