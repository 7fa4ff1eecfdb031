"""Checks of a figure table: all faults at once, with row numbers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from atypia.data.columns import (
    ANSWERS,
    DOMAIN_COLUMNS,
    FORMULA_ERRORS,
    MPP_HIGH,
    MPP_LOW,
    TEXT_COLUMNS,
    as_numbers,
    leaves_folder,
    list_names,
    vote_names,
)
from atypia.errors import suggest_name

if TYPE_CHECKING:
    import pandera.pandas as pa

_SHOWN_VALUES = 8
_SHOWN_ROWS = 20


def find_faults(text: pd.DataFrame, header: list[str]) -> list[str]:
    """Return every fault of a table, one line each; an empty list if there is none.

    Args:
        text: the table as stripped strings, "" for absent; its index holds the row numbers that
            the lines name.
        header: all column names of the table, to name the nearest where one is missing.

    Returns:
        One line for each column and rule that is broken, with the values found and their rows.
    """
    # Imported where a table is checked: loose crops and stacks have none, and start sooner.
    import pandera.pandas as pa

    faults = _find_missing_columns(text, header)
    if not len(text.index):  # a frame with rows and none of our columns is empty too
        return [*faults, "the table has no figures; give at least one row below the header"]
    try:
        _schema(tuple(text.columns)).validate(text, lazy=True)
    except pa.errors.SchemaErrors as faulty:
        cases = faulty.failure_cases
        for (column, rule), group in cases.groupby(["column", "check"], sort=False):
            faults.append(_format_fault(str(column), str(rule), group))
    faults.extend(_find_unplaced(text))
    return faults


@lru_cache
def _schema(columns: tuple[str, ...]) -> pa.DataFrameSchema:
    """Return the rules of the columns that a table has, built once for tables of one form."""
    import pandera.pandas as pa

    answer = pa.Check(
        lambda values: values.str.lower().isin(list(ANSWERS)),
        error="expected yes or no (1/0, true/false, yes/no, AMF/NMF, atypical/normal) or empty",
    )
    number = pa.Check(
        lambda values: (values == "") | np.isfinite(as_numbers(values)),
        error="expected a finite number, without marks between thousands, or empty where it is "
        "absent",
    )
    scale = pa.Check(
        lambda values: (values == "") | as_numbers(values).between(MPP_LOW, MPP_HIGH),
        error=f"expected {MPP_LOW} to {MPP_HIGH} um/px (a 40x scan has about 0.25), or empty",
    )
    no_error = pa.Check(
        lambda values: ~values.isin(FORMULA_ERRORS),
        error="expected a value, not the error of a formula: correct the cell and save again",
    )
    checks: dict[str, list[pa.Check]] = {
        **{name: [no_error] for name in (*TEXT_COLUMNS, *DOMAIN_COLUMNS)},
        "figure_id": [
            no_error,
            pa.Check(lambda values: values != "", error="expected a name, found nothing"),
            pa.Check(
                lambda values: (values == "") | ~values.duplicated(keep=False),
                error="expected each figure once",
            ),
        ],
        "image": [
            no_error,
            pa.Check(
                lambda values: ~values.map(leaves_folder),
                error="expected a path relative to the table's folder, without '..'",
            ),
        ],
        "x": [number],
        "y": [number],
        "mpp": [scale],
        "label": [
            pa.Check(
                lambda values: values.str.lower().isin(list(ANSWERS)),
                error="expected 0 (normal), 1 (atypical) or empty",
            )
        ],
        **{name: [answer] for name in vote_names(pd.Index(columns))},
    }
    return pa.DataFrameSchema(
        {name: pa.Column(object, checks[name]) for name in columns if name in checks}
    )


def _find_missing_columns(text: pd.DataFrame, header: list[str]) -> list[str]:
    present = [str(name) for name in text.columns]
    faults = []
    if "figure_id" not in present:
        faults.append(_missing_message("figure_id", "", header))
    absent = [name for name in ("slide", "x", "y") if name not in present]
    if "image" not in present and absent:
        faults.append(_missing_message("image", f" (or else {', '.join(absent)})", header))
    if faults:
        faults[-1] += f" (the columns are {list_names(header)})"
    return faults


def _missing_message(name: str, otherwise: str, header: list[str]) -> str:
    return (
        f"column {name} is missing{otherwise}; name yours with --column {name}=YOURS"
        f"{suggest_name(name, header)}"
    )


def _find_unplaced(text: pd.DataFrame) -> list[str]:
    """Report rows that name neither an image nor a position on a slide."""
    empty = pd.Series("", index=text.index)
    image, slide, x, y = (text.get(name, empty) for name in ("image", "slide", "x", "y"))
    faults = []
    half = (x == "") != (y == "")
    if half.any():
        faults.append(f"x, y: expected both or neither ({format_rows(text.index[half])})")
    columns_stand = "image" in text.columns or {"slide", "x", "y"} <= set(text.columns)
    unplaced = (image == "") & ((slide == "") | (x == "") | (y == ""))
    if columns_stand and unplaced.any():
        where = format_rows(text.index[unplaced])
        faults.append(f"image: expected an image, or a slide with x and y ({where})")
    return faults


def _format_fault(column: str, rule: str, group: pd.DataFrame) -> str:
    values = []
    by_value = list(group.groupby(group["failure_case"].astype(str), sort=False))
    for value, cases in by_value[:_SHOWN_VALUES]:
        values.append(f"{str(value)[:60]!r} ({format_rows(cases['index'])})")
    if len(by_value) > _SHOWN_VALUES:
        rest = pd.concat([cases["index"] for _, cases in by_value[_SHOWN_VALUES:]])
        values.append(f"{len(by_value) - _SHOWN_VALUES} more values ({format_rows(rest)})")
    return f"{column}: {rule}; found {', '.join(values)}"


def format_count(number: int, noun: str) -> str:
    """Return a number and its noun in words: "1 case", "2,894 cases"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_rows(numbers: Iterable[int]) -> str:
    """Return row numbers in words: "row 4" or "rows 2-5, 9 and 12 more"."""
    ordered = sorted({int(number) for number in numbers})
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    text = ", ".join("-".join(map(str, run)) for run in runs[:_SHOWN_ROWS])
    left = sum(run[-1] - run[0] + 1 for run in runs[_SHOWN_ROWS:])
    return f"row{'s' if len(ordered) > 1 else ''} {text}" + (f" and {left} more" if left else "")
