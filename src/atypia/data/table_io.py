"""Reading tables from text or Parquet, before their columns are interpreted."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from atypia.data.columns import (
    COLUMNS,
    OPTIONAL_COLUMNS,
    VOTE_PREFIX,
    as_text,
    list_names,
    match_names,
)
from atypia.data.table_checks import format_count, format_rows
from atypia.errors import TableError, abbreviate, suggest_name
from atypia.extras import require_extra

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT_SUFFIXES = (".csv", ".tsv")
TABLE_SUFFIXES = (*_TEXT_SUFFIXES, ".parquet")
#: The row number of the first figure: the header of a CSV is row 1, as spreadsheets count.
FIRST_ROW = 2

_SPREADSHEET_SUFFIXES = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
#: How the files of spreadsheets begin, whatever they are called: a ZIP, or Microsoft's OLE2.
_SPREADSHEET_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_UTF16_STARTS = (b"\xff\xfe", b"\xfe\xff")
_SEPARATORS = (",", ";", "\t")
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f]")
_NAMED_LENGTHS = 6


def read_raw(path: Path) -> pd.DataFrame:
    """Read a text table as stripped strings, or a Parquet table as it is stored.

    Text may come as spreadsheets write it: separated by commas, semicolons or tabs, also with a
    line "sep=;" above the header; in UTF-8, UTF-16 with its mark, or Windows-1252; with any ends
    of lines; with empty rows and columns at the end. Of columns without a name, empty
    ones are left out, and so is a first one that numbers the rows (pandas writes it);
    others are called "unnamed N".

    Args:
        path: a file ending in .csv, .tsv (one header) or .parquet.

    Returns:
        Of text, columns of dtype object holding str, "" for absent; of Parquet, its own dtypes.
        The index holds row numbers for messages, as a spreadsheet counts (the header is row 1), or
        2, 3, ... for Parquet.

    Raises:
        TableError: the file is missing, empty, of another kind, or not even in shape: a doubled
            column name, rows longer or shorter than the header (all are named).
    """
    refuse_spreadsheet(path)
    if not path.is_file():
        raise TableError(f"{path}: there is no such file; give a .csv or .parquet table")
    if path.suffix.lower() not in TABLE_SUFFIXES:
        endings = ", ".join(TABLE_SUFFIXES)
        raise TableError(f"{path}: not a table; expected a file ending in {endings}")
    if path.stat().st_size == 0:
        raise TableError(f"{path}: the file is empty; expected a header and one row a figure")
    is_text = path.suffix.lower() in _TEXT_SUFFIXES
    frame = _name_columns(_read_text_table(path) if is_text else _read_parquet(path))
    faults = [
        f"column {name!r} occurs {count} times in the header; keep one"
        for name, count in Counter(frame.columns).items()
        if count > 1
    ]
    if faults:
        raise TableError(format_faults(str(path), faults))
    return frame


def refuse_spreadsheet(path: Path) -> None:
    """Refuse a workbook, whose cells atypia does not read.

    Raises:
        TableError: the name ends as those of spreadsheets do.
    """
    if path.suffix.lower() in _SPREADSHEET_SUFFIXES:
        raise TableError(
            f"{path}: a spreadsheet, not a table; save the sheet as CSV UTF-8 and give that file"
        )


def read_header(path: Path) -> list[str]:
    """Return the names of the columns of a text table, "" for a column without one.

    Raises:
        TableError: the file cannot be read, or is not a text table.
    """
    return next(_parse_records(path, *_split_separator(_read_text(path))))[1]


def _read_text_table(path: Path) -> pd.DataFrame:
    (_, header), *records = _parse_records(path, *_split_separator(_read_text(path)))
    named = max(position for position, name in enumerate(header, start=1) if name)
    lengths: dict[int, list[int]] = defaultdict(list)
    for number, fields in records:
        if not named <= len(fields) <= len(header):
            lengths[len(fields)].append(number)
    if lengths:
        raise TableError(format_faults(str(path), _describe_ragged(lengths, named)))
    return pd.DataFrame(
        [fields + [""] * (len(header) - len(fields)) for _, fields in records],
        columns=header,
        index=[number for number, _ in records],
        dtype=object,
    )


def _parse_records(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, the header first, with their numbers."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] = []
    try:
        # Rows are counted as a spreadsheet does: a cell of several lines is in one.
        for number, cells in enumerate(reader, start=1):
            fields = [cell.strip() for cell in cells]
            if not any(fields):
                continue
            if not header:
                header = fields = [" ".join(name.split()) for name in fields]
                if len(header) == 1 and any(sign in header[0] for sign in _SEPARATORS):
                    raise TableError(
                        f"{path}: the whole header is in one cell ({header[0][:60]}); split the "
                        "cells into columns and save it as CSV UTF-8"
                    )
            yield number, fields
    except csv.Error as fault:
        raise TableError(f"{path}: not a CSV file ({fault}); save it as CSV UTF-8") from fault
    if not header:
        raise TableError(f"{path}: the file is empty; expected a header and one row a figure")


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise TableError(f"{path}: cannot be read ({fault.strerror})") from fault
    if data.startswith(_SPREADSHEET_STARTS):
        raise TableError(
            f"{path}: a spreadsheet (or another archive) under the name of a table; save the sheet "
            "as CSV UTF-8 and give that file"
        )
    encodings = ["utf-16"] if data.startswith(_UTF16_STARTS) else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            # DOS programs mark the end of a file by \x1a.
            text = data.decode(encoding).rstrip("\x1a")
        except UnicodeDecodeError:
            continue
        if not _NO_TEXT.search(text):
            return text
    raise TableError(
        f"{path}: not a CSV file (it contains bytes that are not text); save it as CSV"
    )


def _split_separator(text: str) -> tuple[str, str]:
    """Return the text from its header on, and what separates its cells."""
    stated = re.match(r'\s*"?sep=(.)"?[ ]*(?:\r\n|\r|\n|$)', text, flags=re.IGNORECASE)
    if stated:
        return text[stated.end() :], stated[1]
    outside = re.sub(r'"[^"]*"', "", text[:100_000]).strip("\r\n ")
    header = re.split(r"[\r\n]", outside, maxsplit=1)[0]
    return text, max(_SEPARATORS, key=header.count)


def _describe_ragged(lengths: dict[int, list[int]], expected: int) -> list[str]:
    """Return one line for each wrong number of fields, the most frequent ones first."""
    by_count = sorted(lengths.items(), key=lambda item: (-len(item[1]), item[0]))
    faults = [
        f"{format_rows(numbers)}: {format_count(count, 'field')}, the header has {expected}"
        for count, numbers in by_count[:_NAMED_LENGTHS]
    ]
    rest = by_count[_NAMED_LENGTHS:]
    if rest:
        others = [number for _, numbers in rest for number in numbers]
        faults.append(
            f"{format_rows(others)}: {len(rest)} other numbers of fields, the header has {expected}"
        )
    faults[-1] += "; put a cell that contains the separator in double quotes"
    return faults


def _read_parquet(path: Path) -> pd.DataFrame:
    require_extra("parquet", f"{path}: a Parquet table")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # An index of pandas is a column like others: it may be the one of the ids.
        table = pq.read_table(path)
        _require_whole(table, path)
        # Of categories, what is written anew differs from what was read where all are empty.
        plain = [
            column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
            for column in table.columns
        ]
        table = pa.table(plain, names=table.column_names)
        frame = table.to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError, ValueError) as fault:
        reason = (str(fault) or type(fault).__name__).splitlines()[0]
        raise TableError(f"{path}: not a Parquet file ({reason}); write it anew") from fault
    frame.columns = [" ".join(str(name).split()) for name in frame.columns]
    frame = frame.drop(columns=[name for name in frame if re.match(r"__index_level_\d+__", name)])
    frame.index = pd.RangeIndex(FIRST_ROW, FIRST_ROW + len(frame))
    return pd.DataFrame(frame)


def _require_whole(table: pa.Table, path: Path) -> None:
    """Refuse values that cannot be read, which Arrow reports only when they are used.

    Raises:
        TableError: a column contains such a value, such as text that is not UTF-8.
    """
    from pyarrow import ArrowInvalid

    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except ArrowInvalid as fault:
            reason = str(fault).splitlines()[0].rpartition("Invalid: ")[2]
            raise TableError(
                f"{path}: column {abbreviate(name)}: contains damaged values ({reason}); write the "
                "table anew"
            ) from fault


def _name_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop empty columns without a name; name the other nameless ones."""
    positions: list[int] = []
    names: list[str] = []
    for position, name in enumerate(map(str, frame.columns)):
        if not name:
            values = as_text(frame.iloc[:, position])
            numbers_rows = position == 0 and values.str.fullmatch(r"\d+(\.0)?").all()
            if numbers_rows or (values == "").all():
                continue
        positions.append(position)
        names.append(name or f"unnamed {position + 1}")
    return frame.iloc[:, positions].set_axis(names, axis=1)


def rename_known(frame: pd.DataFrame, known: Iterable[str], source: str) -> pd.DataFrame:
    """Return `frame` with the columns that spell a known one in other letters called by it.

    Args:
        frame: a table in somebody's spelling.
        known: names as they are spelt here (see `columns.match_names`).
        source: the file, for messages.

    Raises:
        TableError: two columns spell the same known one.
    """
    theirs = match_names(map(str, frame.columns), known)
    faults = []
    for ours, count in Counter(theirs.values()).items():
        if count > 1:
            spelt = sorted(repr(name) for name, name_here in theirs.items() if name_here == ours)
            faults.append(f"columns {', '.join(spelt)}: each may be {ours}; rename all but one")
    if faults:
        raise TableError(format_faults(source, faults))
    return frame.rename(columns=theirs)


def rename_columns(text: pd.DataFrame, mapping: Mapping[str, str], source: str) -> pd.DataFrame:
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
    mapping = {our: " ".join(their.split()) for our, their in mapping.items()}  # as names are read
    faults = []
    for our, their in mapping.items():
        if our not in ours and not our.startswith(VOTE_PREFIX):
            faults.append(
                f"{our!r} is not a column of a figure table; "
                f"expected one of {', '.join(ours)} or {VOTE_PREFIX}NAME{suggest_name(our, ours)}"
            )
        if their not in theirs:
            faults.append(
                f"column {their!r} (for {our}) is missing; "
                f"the columns are {list_names(theirs)}{suggest_name(their, theirs)}"
            )
    if faults:
        raise TableError(format_faults(source, faults))
    others = text.drop(columns=list({*mapping.values(), *(name for name in mapping)} & {*theirs}))
    mapped = pd.DataFrame({our: text[their] for our, their in mapping.items()}, index=text.index)
    return pd.concat([mapped, others], axis=1)


def format_faults(source: str, faults: list[str]) -> str:
    """Return a message that names the source and lists all faults, one a line."""
    if len(faults) == 1:
        return f"{source}: {faults[0]}"
    return "\n  ".join([f"{source}: {len(faults)} faults (row 1 is the header):", *faults])
