"""Points on one slide, whatever file they came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from atypia.errors import TableError


class PointFailure(NamedTuple):
    """A point that cannot be used.

    Attributes:
        line: names the file and the place in it, and says why.
        reason: what it has, as a noun that others share, e.g. "no geometry".
    """

    line: str
    reason: str


@dataclass(frozen=True)
class Points:
    """Points on one slide.

    Attributes:
        path: file they were read from.
        frame: columns `point_id` (str, unique), `x` and `y` (float64, finite, px of the slide's
            level 0), `name` (str, the class they have in the file, "" without one); further
            columns say where in the file a point stands. The index counts from 0. No rows: the
            slide was searched, and holds no figure.
        failures: what could not be used and why, one line each; the good rest is in `frame`.
        warnings: what a user should know of the file, one line each.
        reasons: how many of the failures there are of each reason.
        classes: how many points of each class the file has on this slide, whether they are in
            `frame` or not; 0 of a class that it only knows.
        outlines: how many of these are outlined areas.
    """

    path: Path
    frame: pd.DataFrame
    failures: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    outlines: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame)


def make_points(
    path: Path,
    rows: Sequence[Mapping[str, object]] | pd.DataFrame,
    failures: Sequence[PointFailure] = (),
    classes: Mapping[str, int] | None = None,
) -> Points:
    """Make points of rows, and leave out those that cannot be used.

    Args:
        path: file they were read from.
        rows: `point_id`, `x`, `y`, `name` and `place` (where it stands in the file, in words) of
            each point, and whatever else a reader keeps. A point_id that stands twice gets its
            number behind it, and a warning says so.
        failures: of the reader; those found here are added.
        classes: as `Points` has them.

    Raises:
        TableError: there were points, and none of them can be used.
    """
    failures = list(failures)
    frame = pd.DataFrame(rows)
    if frame.empty:
        columns = list(dict.fromkeys([*frame.columns, "point_id", "x", "y", "name", "place"]))
        frame = pd.DataFrame({name: pd.Series(dtype=object) for name in columns})
    frame = frame.astype({"x": np.float64, "y": np.float64})
    finite = np.isfinite(frame[["x", "y"]].to_numpy()).all(axis=1)
    for row in frame[~finite].itertuples():
        text = f"x {row.x}, y {row.y} is no place on a slide; give finite numbers"
        failures.append(PointFailure(f"{path}, {row.place}: {text}", "no finite x and y"))
    frame = frame[finite].reset_index(drop=True)
    reasons = Counter(failure.reason for failure in failures)
    if frame.empty and failures:
        raise TableError(
            f"{path}: holds no point that can be used ({format_reasons(reasons)}); the first: "
            f"{failures[0].line.removeprefix(f'{path}, ')}"
        )
    again = frame.groupby("point_id").cumcount()
    warnings: tuple[str, ...] = ()
    if again.any():
        twice = frame["point_id"][again > 0]
        warnings = (
            f"warning: {path}: {twice.nunique()} ids occur more than once (the first: "
            f"{twice.iloc[0]}); the second of an id gets #2 behind it, and so on",
        )
        frame["point_id"] = np.where(
            again > 0, frame["point_id"] + "#" + (again + 1).astype(str), frame["point_id"]
        )
    lines = tuple(failure.line for failure in failures)
    return Points(path, frame, lines, warnings, reasons, classes or {})


def format_reasons(reasons: Mapping[str, int]) -> str:
    """Return the reasons of failures with the number of points of each, e.g. "no geometry: 2"."""
    return ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
