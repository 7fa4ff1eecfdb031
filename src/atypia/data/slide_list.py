"""Lists of slides with their points: one row a slide, checked as a whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

import pandas as pd

from atypia.data.columns import DOMAIN_COLUMNS, MPP_HIGH, MPP_LOW, as_numbers, as_text
from atypia.data.table_checks import format_rows
from atypia.data.table_io import TABLE_SUFFIXES, format_faults, read_raw, rename_known
from atypia.errors import TableError, suggest_name

LIST_COLUMNS = ("slide", "points", "name", "case", "mpp", "area_mm2", *DOMAIN_COLUMNS)
_ENDINGS = (".ome.tiff", ".ome.tif")


@dataclass(frozen=True)
class ListedSlide:
    """A row of the list.

    Attributes:
        name: of what is written for it, unique in the list.
        case: that the slide is of.
        slide: file; it may be missing.
        points: file; it may be missing.
        mpp: um/px of level 0; None takes it from the slide's metadata.
        area_mm2: area of the searched tissue; None where it is not known.
        fault: why nothing can be done with the row; "" where something can.
        domain: tumour, scanner, laboratory and species, those that the list names.
    """

    name: str
    case: str
    slide: Path
    points: Path
    mpp: float | None
    area_mm2: float | None
    fault: str = ""
    domain: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _RowFault:
    """What is wrong with some rows.

    Attributes:
        expected: the column, and what was expected in it.
        values: those found instead, by row number.
    """

    expected: str
    values: pd.Series

    def of_all(self) -> str:
        return f"{self._of(self.values.iloc[0])} ({format_rows(self.values.index)})"

    def of_row(self, number: int) -> str:
        return self._of(self.values[number])

    def _of(self, value: str) -> str:
        return f"{self.expected}, found {repr(value) if value else 'nothing'}"


def is_slide_list(path: Path) -> bool:
    """Whether a file is a table with a row a slide, naming a file of points."""
    if path.suffix.lower() not in TABLE_SUFFIXES or not path.is_file():
        return False
    columns = {str(name).strip().lower() for name in read_raw(path).columns}
    return {"slide", "points"} <= columns


def read_slide_list(path: Path) -> list[ListedSlide]:
    """Read a list of slides.

    A row that nothing can be done with has a `fault`, and the others can be used.

    Args:
        path: a table with the columns `slide` and `points` (files, relative to the list's folder
            or absolute) and, if it has them, `name` (else the slide's file name without its
            ending), `case` (else the name), `mpp` (um/px), `area_mm2`, and the columns of a domain.

    Raises:
        TableError: the list is faulty, or all of its rows are; all faults are named, with their
            rows.
    """
    raw = rename_known(read_raw(path), LIST_COLUMNS, str(path))
    header = [str(name) for name in raw.columns]
    faults = [
        f"column {name} is missing; the columns are {', '.join(header)}{suggest_name(name, header)}"
        for name in ("slide", "points")
        if name not in header
    ]
    if not len(raw):
        faults.append("lists no slide; give at least one row below the header")
    if faults:
        raise TableError(format_faults(str(path), faults))
    text = pd.DataFrame(
        {name: _column_text(raw, name) for name in LIST_COLUMNS}, index=raw.index, dtype=object
    )
    text["name"] = text["name"].where(text["name"] != "", text["slide"].map(slide_name))
    numbers = pd.Series([f"row-{number}" for number in text.index], index=text.index, dtype=object)
    text["name"] = text["name"].where(text["name"] != "", numbers)
    text["case"] = text["case"].where(text["case"] != "", text["name"])
    mpp, area = (as_numbers(text[name]) for name in ("mpp", "area_mm2"))
    of_rows = _find_row_faults(text, mpp, area)
    faulty = {number for fault in of_rows for number in fault.values.index}
    faults = _find_unfit_names(text)
    if faults or len(faulty) == len(text):
        raise TableError(
            format_faults(str(path), [*(fault.of_all() for fault in of_rows), *faults])
        )
    return [
        ListedSlide(
            name=row["name"],
            case=row["case"],
            slide=_find_file(path.parent, row["slide"]),
            points=_find_file(path.parent, row["points"]),
            mpp=None if pd.isna(mpp[number]) else float(mpp[number]),
            area_mm2=None if pd.isna(area[number]) else float(area[number]),
            fault="; ".join(
                f"{path}, row {number}: {fault.of_row(number)}"
                for fault in of_rows
                if number in fault.values.index
            ),
            domain={column: row[column] for column in DOMAIN_COLUMNS if row[column]},
        )
        for number, row in zip(text.index.tolist(), text.to_dict("records"), strict=True)
    ]


def _find_row_faults(text: pd.DataFrame, mpp: pd.Series, area: pd.Series) -> list[_RowFault]:
    wrong = {
        "slide: expected a file": ("slide", text["slide"] == ""),
        "points: expected a file": ("points", text["points"] == ""),
        f"mpp: expected {MPP_LOW:g} to {MPP_HIGH:g} um/px": (
            "mpp",
            (text["mpp"] != "") & ~mpp.between(MPP_LOW, MPP_HIGH),
        ),
        "area_mm2: expected a number above 0": (
            "area_mm2",
            (text["area_mm2"] != "") & ~((area > 0) & (area < math.inf)),
        ),
    }
    return [
        _RowFault(expected, text[column][at])
        for expected, (column, at) in wrong.items()
        if at.any()
    ]


def _find_file(folder: Path, name: str) -> Path:
    """Return a file of the list; back-slashes divide folders unless a file is called so."""
    file = folder / name
    return file if "\\" not in name or file.exists() else folder / name.replace("\\", "/")


def _column_text(raw: pd.DataFrame, name: str) -> pd.Series:
    return as_text(raw[name]) if name in raw.columns else pd.Series("", raw.index, dtype=object)


def slide_name(slide: Path | str) -> str:
    """Return what a slide is called where nothing else is said: its file's name, without ending."""
    name = PureWindowsPath(slide).name
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return Path(name).stem


def _find_unfit_names(text: pd.DataFrame) -> list[str]:
    """Return which names would leave the folder or hide in it, or are claimed by two slides."""
    faults = []
    for name, group in text.groupby("name", sort=False):
        where = format_rows(group.index)
        if not _is_file_name(str(name)):
            faults.append(f"name: {str(name)[:60]!r} is not a valid file name ({where})")
    # What differs in capitals alone is one file on many disks.
    for _, group in text.groupby(text["name"].str.lower(), sort=False):
        if len(group) > 1:
            faults.append(
                f"name: {group['name'].iloc[0]!r} is the name of {len(group)} slides "
                f"({format_rows(group.index)}); give each a name of its own in the column name"
            )
    return faults


def _is_file_name(name: str) -> bool:
    # A colon or a backslash is not allowed in file names on every system.
    return bool(name) and not name.startswith(".") and not set(name) & set('/\\:*?"<>|\0\n')
