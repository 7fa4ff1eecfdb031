"""The predictions table: read, checked as a whole, and joined with a figure table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from atypia.data.columns import (
    FALSE_WORDS,
    TRUE_WORDS,
    as_answers,
    as_ids,
    as_numbers,
    as_text,
    list_names,
)
from atypia.data.table import FigureTable
from atypia.data.table_checks import format_rows
from atypia.data.table_io import FIRST_ROW, format_faults, read_raw, rename_known
from atypia.errors import TableError, suggest_name
from atypia.files import escape_text, parse_json

PREDICTION_COLUMNS: tuple[str, ...] = (
    "figure_id",
    "image",
    "p_atypical",
    "call",
    "refer",
    "spread",
    "phase",
    "in_scope",
    "scope_reason",
)
CALLS: tuple[str, str] = ("normal", "atypical")

_REQUIRED = ("figure_id", "p_atypical", "call")
_NAMED = 5


@dataclass(frozen=True)
class JoinedPredictions:
    """Predictions joined with their figures.

    Attributes:
        frame: one row a figure that is on both sides, in the order of the predictions: all columns
            of the figure table, then `p_atypical` (float64), `call` (bool, True: atypical),
            `refer` (bool), `spread` (float64) and `predicted_phase` (str).
        notes: what was left out and why; empty where every figure was matched.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...]


def empty_predictions() -> pd.DataFrame:
    """Return a predictions table without rows."""
    kinds = {"p_atypical": "float64", "spread": "float64", "refer": "bool", "in_scope": "bool"}
    return pd.DataFrame(
        {name: pd.Series(dtype=kinds.get(name, "str")) for name in PREDICTION_COLUMNS}
    )


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a predictions table: CSV, Parquet, or JSON (a list of records).

    `figure_id`, `p_atypical` and `call` must be there; the others may be absent, so that other
    programs' predictions can be judged too. A call may use any word that a label may use
    (atypical, AMF, 1, ...), in any capitals.

    Returns:
        RangeIndex and all of `PREDICTION_COLUMNS` (`image`, `phase`, `scope_reason`: str, "" where
        absent; `refer`: bool; `in_scope`: bool, true where absent; `spread`: float64, NaN where
        absent); further columns are kept, as text.

    Raises:
        TableError: the file is missing, not such a table, or faulty; all faults are listed, one a
            line, with row numbers (the header of a CSV is row 1).
    """
    raw = _read_json(path) if path.suffix.lower() == ".json" else read_raw(path)
    return _check(raw, str(path))


def check_predictions(frame: pd.DataFrame) -> pd.DataFrame:
    """Return predictions that are in memory with the columns and types of `read_predictions`.

    Args:
        frame: with at least `figure_id`, `p_atypical`, `call`.

    Raises:
        TableError: as `read_predictions`; the first figure is row 2, as in a CSV.
    """
    return _check(_number_rows(frame), "predictions")


def _read_json(path: Path) -> pd.DataFrame:
    try:
        records = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TableError(f"{path}: there is no such file; give a predictions table") from None
    except (OSError, ValueError) as fault:
        raise TableError(
            f"{path}: not a JSON file ({fault}); write it anew with `atypia predict`"
        ) from fault
    if not isinstance(records, list) or not all(isinstance(row, dict) for row in records):
        raise TableError(f"{path}: expected a list of records, one a figure")
    try:
        plain = [
            {escape_text(name): _plain_value(of) for name, of in row.items()} for row in records
        ]
    except RecursionError:
        raise TableError(f"{path}: nested too deeply; expected one value a column") from None
    return _number_rows(pd.DataFrame(plain))


def _plain_value(value: object) -> object:
    """Return a JSON value as a cell of a column; lists and objects become text."""
    if isinstance(value, list | dict):
        value = str(value)
    return escape_text(value) if isinstance(value, str) else value


def _number_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with rows counted as in a CSV."""
    return frame.set_axis(pd.RangeIndex(FIRST_ROW, FIRST_ROW + len(frame)), axis=0)


def _check(raw: pd.DataFrame, source: str) -> pd.DataFrame:
    raw = rename_known(raw, PREDICTION_COLUMNS, source)
    text = pd.DataFrame({str(name): as_text(raw[name]) for name in raw.columns}, index=raw.index)
    missing = [name for name in _REQUIRED if name not in text.columns]
    if missing:
        header = [str(name) for name in raw.columns]
        raise TableError(
            f"{source}: column {', '.join(missing)} is missing; the columns are "
            f"{list_names(header)}; a predictions table has the columns "
            f"{', '.join(PREDICTION_COLUMNS)}{suggest_name(missing[0], header)}"
        )
    if text.empty:
        raise TableError(f"{source}: no predictions; give at least one row below the header")
    absent = pd.Series("", index=text.index, dtype=object)
    columns = {name: text.get(name, absent) for name in PREDICTION_COLUMNS}
    figure_id = columns["figure_id"] = as_ids(columns["figure_id"])
    p, spread = as_numbers(columns["p_atypical"]), as_numbers(columns["spread"])
    called, refer = as_answers(columns["call"]), columns["refer"].str.lower()
    in_scope = columns["in_scope"].str.lower()
    spread_wrong = (columns["spread"] != "") & ~((spread >= 0) & np.isfinite(spread))
    doubled = (figure_id != "") & figure_id.duplicated(keep=False)
    faults = [
        *_find_faults(figure_id == "", figure_id, "figure_id: expected a name"),
        *_find_faults(doubled, figure_id, "figure_id: expected each figure once"),
        *_find_faults(
            ~p.between(0, 1), columns["p_atypical"], "p_atypical: expected a number in 0..1"
        ),
        *_find_faults(
            called.isna(), columns["call"], f"call: expected {' or '.join(CALLS)} (AMF/NMF, 1/0)"
        ),
        *_find_faults(
            ~refer.isin([*TRUE_WORDS, *FALSE_WORDS, ""]),
            columns["refer"],
            "refer: expected true or false",
        ),
        *_find_faults(
            ~in_scope.isin([*TRUE_WORDS, *FALSE_WORDS, ""]),
            columns["in_scope"],
            "in_scope: expected true or false",
        ),
        *_find_faults(
            spread_wrong, columns["spread"], "spread: expected a number of 0 or more, or nothing"
        ),
    ]
    if faults:
        raise TableError(format_faults(source, faults))
    further = {name: text[name] for name in text.columns if name not in PREDICTION_COLUMNS}
    known = {
        **columns,
        "p_atypical": p,
        "call": called.map({0.0: CALLS[0], 1.0: CALLS[1]}).astype(object),
        "refer": refer.isin(TRUE_WORDS),
        "in_scope": ~in_scope.isin(FALSE_WORDS),
        "spread": spread,
    }
    return pd.DataFrame({**known, **further}).reset_index(drop=True)


def _find_faults(wrong: pd.Series, values: pd.Series, expected: str) -> list[str]:
    """Return one line that names the values and rows where `wrong` holds; nothing if nowhere."""
    if not wrong.any():
        return []
    kinds = list(dict.fromkeys(values[wrong]))
    listed = ", ".join(repr(value[:60]) for value in kinds[:_NAMED])
    more = f" and {len(kinds) - _NAMED} other values" if len(kinds) > _NAMED else ""
    return [f"{expected}; found {listed}{more} ({format_rows(wrong.index[wrong])})"]


def join_predictions(predictions: pd.DataFrame, table: FigureTable) -> JoinedPredictions:
    """Join predictions with their figures by `figure_id`.

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
            f"({list_names(predicted, _NAMED)} against {list_names(known, _NAMED)}); give the "
            "table the predictions were made from"
        )
    notes: list[str] = []
    for names, side, lack in (
        (list(predicted[~predicted.isin(set(known))]), "predicted", "not in the figure table"),
        (list(known[~known.isin(set(predicted))]), "in the figure table", "not predicted"),
    ):
        if names:
            notes.append(
                f"{len(names)} figures {side} but {lack}, left out: {list_names(names, _NAMED)}"
            )
    ours = pd.DataFrame(
        {
            "figure_id": predicted,
            "p_atypical": predictions["p_atypical"],
            "call": (predictions["call"] == CALLS[1]).astype(bool),
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
    return JoinedPredictions(frame, tuple(notes))
