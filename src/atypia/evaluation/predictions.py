"""The predictions table: read, checked as a whole, and laid beside a figure table."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from atypia.data.table import FigureTable
from atypia.errors import TableError

PREDICTION_COLUMNS: tuple[str, ...] = (
    "figure_id",
    "image",
    "p_atypical",
    "call",
    "refer",
    "spread",
    "phase",
)
CALLS: tuple[str, str] = ("normal", "atypical")

_REQUIRED = ("figure_id", "p_atypical", "call")
_TRUE_WORDS = frozenset({"true", "1", "1.0", "yes"})
_FALSE_WORDS = frozenset({"false", "0", "0.0", "no", ""})
_FIRST_ROW = 2  # as in a CSV, whose header is row 1
_NAMED = 5


@dataclass(frozen=True)
class Joined:
    """Predictions beside the figures they are about.

    Attributes:
        frame: one row a figure that both sides hold, in the order of the predictions: all columns
            of the figure table, then `p_atypical` (float64), `call` (bool, True: atypical),
            `refer` (bool), `spread` (float64) and `predicted_phase` (str).
        notes: in words, what was left out and why; empty where everything met.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...]


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a predictions table: CSV, Parquet, or JSON (a list of records).

    `figure_id`, `p_atypical` and `call` must be there; the others may be absent, so that other
    programs' predictions can be judged too.

    Returns:
        RangeIndex and all of `PREDICTION_COLUMNS` (`image`, `phase`: str, "" where absent; `refer`:
        bool; `spread`: float64, NaN where absent); further columns are kept as they are.

    Raises:
        TableError: the file is missing, not such a table, or faulty; all faults are listed, one a
            line, with row numbers (the header of a CSV is row 1).
    """
    try:
        frame = _read(path)
    except FileNotFoundError:
        raise TableError(f"{path}: there is no such file; give a predictions table") from None
    except (OSError, ValueError, csv.Error) as fault:
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise TableError(
            f"{path}: cannot be read as a predictions table ({reason}); "
            "write it with `atypia predict`, or as CSV with a header"
        ) from fault
    return check_predictions(frame, str(path))


def _read(path: Path) -> pd.DataFrame:
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return pd.read_parquet(path)
    if suffix == ".json":
        records = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(records, list) or not all(isinstance(row, dict) for row in records):
            raise ValueError("a list of records was expected")
        return pd.DataFrame(records)
    if suffix == ".csv":
        return _read_csv(path)
    raise ValueError(f"the ending {suffix or 'none'} is not one of .csv, .parquet, .json")


def _read_csv(path: Path) -> pd.DataFrame:
    """Return the file's cells as text, refusing what pandas would shift or rename in silence."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        header, *rows = list(csv.reader(handle, strict=True)) or [[]]
    names = [name.strip() for name in header]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"the header names {', '.join(doubled)} more than once")
    rows = [row for row in rows if row]
    for number, row in enumerate(rows, start=_FIRST_ROW):
        if len(row) != len(names):
            raise ValueError(f"row {number} has {len(row)} cells, the header {len(names)}")
    return pd.DataFrame(rows, columns=names, dtype=object)


def check_predictions(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return a predictions table with the columns and types of `read_predictions`.

    Args:
        frame: with at least `figure_id`, `p_atypical`, `call`.
        source: how messages call it, such as its path.

    Raises:
        TableError: as `read_predictions`.
    """
    missing = [name for name in _REQUIRED if name not in frame.columns]
    if missing:
        raise TableError(
            f"{source}: the column {', '.join(missing)} is missing; "
            f"a predictions table has {', '.join(PREDICTION_COLUMNS)}"
        )
    out = frame.reset_index(drop=True).copy()
    for name in ("image", "phase"):
        out[name] = _text(out[name]) if name in out else ""
    out["figure_id"] = _text(out["figure_id"])
    faults: list[tuple[int, str]] = []

    first_row: dict[str, int] = {}
    for row, name in enumerate(out["figure_id"], start=_FIRST_ROW):
        if not name:
            faults.append((row, "figure_id is empty"))
        elif name in first_row:
            faults.append((row, f"figure_id {name} was already in row {first_row[name]}"))
        else:
            first_row[name] = row

    p = pd.to_numeric(out["p_atypical"], errors="coerce").astype("float64")
    wrong = ~((p >= 0) & (p <= 1))
    faults += _faults(wrong, out["p_atypical"], "p_atypical must be a number from 0 to 1")
    out["p_atypical"] = p

    call = _text(out["call"])
    faults += _faults(~call.isin(CALLS), out["call"], f"call must be {' or '.join(CALLS)}")
    out["call"] = call

    absent = pd.Series("", index=out.index, dtype=object)
    words = _text(out["refer"]).str.lower() if "refer" in out else absent
    wrong = ~words.isin(_TRUE_WORDS | _FALSE_WORDS)
    faults += _faults(wrong, words, "refer must be true or false")
    out["refer"] = words.isin(_TRUE_WORDS).to_numpy(dtype=bool)

    given = _text(out["spread"]) if "spread" in out else absent
    spread = pd.to_numeric(given.where(given != "", None), errors="coerce").astype("float64")
    wrong = (given != "") & ~((spread >= 0) & np.isfinite(spread))
    faults += _faults(wrong, given, "spread must be a number of 0 or more")
    out["spread"] = spread

    if faults:
        lines = [f"row {row}: {message}" for row, message in sorted(faults)]
        raise TableError("\n".join([f"{source}: {len(lines)} faults; mend these rows:", *lines]))
    further = [name for name in out.columns if name not in PREDICTION_COLUMNS]
    return out[[*PREDICTION_COLUMNS, *further]]


def _faults(wrong: pd.Series, values: pd.Series, expected: str) -> list[tuple[int, str]]:
    """Return (row number, message) where `wrong` holds."""
    rows = np.flatnonzero(wrong.to_numpy(dtype=bool)).tolist()
    return [(row + _FIRST_ROW, f"{expected}, got {values.iloc[row]!r}") for row in rows]


def _text(column: pd.Series) -> pd.Series:
    """Return the column as stripped str, "" for absent values (object dtype)."""
    values = ["" if _absent(value) else str(value).strip() for value in column]
    return pd.Series(values, index=column.index, dtype=object)


def _absent(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def join(predictions: pd.DataFrame, table: FigureTable) -> Joined:
    """Lay predictions beside their figures, by `figure_id`.

    Args:
        predictions: as `read_predictions` returns.
        table: the figures.

    Raises:
        TableError: no figure_id is on both sides.
    """
    figures = table.frame
    predicted, known = predictions["figure_id"], figures["figure_id"]
    if not set(predicted) & set(known):
        raise TableError(
            "no figure_id is in both the predictions and the figure table "
            f"({_few(list(predicted))} against {_few(list(known))}); give the table the "
            "predictions were made from"
        )
    notes: list[str] = []
    for names, here, there in (
        (list(predicted[~predicted.isin(set(known))]), "predicted", "not in the figure table"),
        (list(known[~known.isin(set(predicted))]), "in the figure table", "not predicted"),
    ):
        if names:
            notes.append(f"{len(names)} figures {here} but {there}, left out: {_few(names)}")
    ours = pd.DataFrame(
        {
            "figure_id": predicted,
            "p_atypical": predictions["p_atypical"],
            "call": (predictions["call"] == "atypical").astype(bool),
            "refer": predictions["refer"].astype(bool),
            "spread": predictions["spread"],
            "predicted_phase": predictions["phase"],
        }
    )
    clashes = [name for name in ours.columns if name != "figure_id" and name in figures.columns]
    frame = ours[["figure_id"]].merge(
        figures.drop(columns=clashes), on="figure_id", how="inner", validate="one_to_one"
    )
    frame = frame.merge(ours, on="figure_id", how="left", validate="one_to_one")
    return Joined(frame, tuple(notes))


def _few(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    shown = ", ".join(str(name) for name in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
