"""Reading a table before anything in it is understood: CSV or Parquet, faults in one line."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from atypia.data.columns import COLUMNS, OPTIONAL_COLUMNS, VOTE_PREFIX, nearest
from atypia.errors import TableError

TABLE_SUFFIXES = (".csv", ".parquet")
#: The row number of the first figure: the header of a CSV is row 1, as spreadsheets count.
FIRST_ROW = 2


def read_raw(path: Path) -> pd.DataFrame:
    """Read a CSV as stripped strings, or a Parquet table as it is stored.

    Args:
        path: a file ending in .csv (UTF-8, comma-separated, one header) or .parquet.

    Returns:
        Of a CSV, columns of dtype object holding str, "" for absent; of Parquet, its own dtypes.
        The index holds row numbers for messages: lines of the CSV file (the header is row 1), or
        2, 3, ... for Parquet.

    Raises:
        TableError: the file is missing, empty, of another kind, or not even in shape: a doubled
            column name, rows longer or shorter than the header (all are named).
    """
    if not path.is_file():
        raise TableError(f"{path}: there is no such file; give a .csv or .parquet table")
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise TableError(f"{path}: not a table; expected a file ending in .csv or .parquet")
    if path.stat().st_size == 0:
        raise TableError(f"{path}: the file is empty; expected a header and one row a figure")
    return _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)


def _read_csv(path: Path) -> pd.DataFrame:
    lines: list[list[str]] = []
    numbers: list[int] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            for fields in reader:
                if any(field.strip() for field in fields):
                    lines.append([field.strip() for field in fields])
                    numbers.append(reader.line_num)
    except (UnicodeDecodeError, csv.Error) as fault:
        raise TableError(
            f"{path}: not a CSV file ({fault}); save it as CSV, UTF-8, separated by commas"
        ) from fault
    except OSError as fault:
        raise TableError(f"{path}: cannot be read ({fault.strerror})") from fault
    if not lines:
        raise TableError(f"{path}: the file is empty; expected a header and one row a figure")
    header = lines[0]
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            raise TableError(f"{path}: separated by {name}; save it separated by commas")
    faults = _doubled(header)
    for number, fields in zip(numbers[1:], lines[1:], strict=True):
        if len(fields) != len(header):
            faults.append(f"row {number}: {len(fields)} fields, the header has {len(header)}")
    if faults:
        raise TableError(told(str(path), faults))
    return pd.DataFrame(lines[1:], columns=header, index=numbers[1:], dtype=object)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as fault:
        reason = str(fault).splitlines()[0]
        raise TableError(f"{path}: not a Parquet file ({reason}); write it anew") from fault
    faults = _doubled(table.column_names)
    if faults:
        raise TableError(told(str(path), faults))
    frame = table.to_pandas()
    frame.index = pd.RangeIndex(FIRST_ROW, FIRST_ROW + len(frame))
    return pd.DataFrame(frame.rename(columns=str))


def _doubled(header: list[str]) -> list[str]:
    return [
        f"column {name!r} stands {count} times in the header; keep one"
        for name, count in Counter(header).items()
        if count > 1 and name
    ]


def renamed(text: pd.DataFrame, mapping: Mapping[str, str], source: str) -> pd.DataFrame:
    """Return `text` under our column names.

    Args:
        text: a table in somebody's columns.
        mapping: our name -> their name. One of theirs may serve several of ours; a column of
            theirs that already bears our name gives way.
        source: the file, for messages.

    Raises:
        TableError: a name of ours that a figure table has not, or one of theirs that is missing.
    """
    ours = [*COLUMNS, *OPTIONAL_COLUMNS]
    theirs = [str(name) for name in text.columns]
    faults = []
    for our, their in mapping.items():
        if our not in ours and not our.startswith(VOTE_PREFIX):
            faults.append(
                f"{our!r} is no column of a figure table{nearest(our, ours)}; "
                f"expected one of {', '.join(ours)} or {VOTE_PREFIX}NAME"
            )
        if their not in theirs:
            faults.append(
                f"column {their!r} (for {our}) is missing{nearest(their, theirs)}; "
                f"the columns are {', '.join(theirs)}"
            )
    if faults:
        raise TableError(told(source, faults))
    kept = text.drop(columns=list({*mapping.values(), *(name for name in mapping)} & {*theirs}))
    taken = pd.DataFrame({our: text[their] for our, their in mapping.items()}, index=text.index)
    return pd.concat([taken, kept], axis=1)


def told(source: str, faults: list[str]) -> str:
    """Return a message that names the source and lists all faults, one a line."""
    if len(faults) == 1:
        return f"{source}: {faults[0]}"
    return "\n  ".join([f"{source}: {len(faults)} faults (row 1 is the header):", *faults])
