"""Lists of slides with their points: one row a slide, checked as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from atypia.data.columns import MPP_HIGH, MPP_LOW, as_numbers, nearest
from atypia.data.faults import rows
from atypia.data.raw import read_raw, take_known, told
from atypia.errors import TableError

LIST_COLUMNS = ("slide", "points", "name", "case", "mpp", "area_mm2")
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
        area_mm2: of the tissue that figures were looked for in; None where it is not known.
    """

    name: str
    case: str
    slide: Path
    points: Path
    mpp: float | None
    area_mm2: float | None


def read_slide_list(path: Path) -> list[ListedSlide]:
    """Read a list of slides.

    Args:
        path: .csv or .parquet with the columns `slide` and `points` (files, relative to the list's
            folder or absolute) and, if it has them, `name` (else the slide's file name without its
            ending), `case` (else the name), `mpp` (um/px) and `area_mm2`.

    Raises:
        TableError: the list is faulty; all faults are named, with their rows.
    """
    raw = take_known(read_raw(path), LIST_COLUMNS, str(path))
    header = [str(name) for name in raw.columns]
    faults = [
        f"column {name} is missing{nearest(name, header)}; the columns are {', '.join(header)}"
        for name in ("slide", "points")
        if name not in header
    ]
    if not len(raw):
        faults.append("names no slide; give at least one row below the header")
    if faults:
        raise TableError(told(str(path), faults))
    text = pd.DataFrame(
        {name: _text(raw, name) for name in LIST_COLUMNS}, index=raw.index, dtype=object
    )
    for name in ("slide", "points"):
        empty = text.index[text[name] == ""]
        if len(empty):
            faults.append(f"{name}: expected a file, found nothing ({rows(empty)})")
    text["name"] = text["name"].where(text["name"] != "", text["slide"].map(_stem))
    text["case"] = text["case"].where(text["case"] != "", text["name"])
    faults += _unfit(text)
    mpp, area = (as_numbers(text[name]) for name in ("mpp", "area_mm2"))
    faults += _outside(
        text["mpp"], mpp.between(MPP_LOW, MPP_HIGH), f"{MPP_LOW:g} to {MPP_HIGH:g} um/px"
    )
    faults += _outside(text["area_mm2"], (area > 0) & (area < math.inf), "a number above 0")
    if faults:
        raise TableError(told(str(path), faults))
    return [
        ListedSlide(
            name=row["name"],
            case=row["case"],
            slide=path.parent / row["slide"],
            points=path.parent / row["points"],
            mpp=float(scale) if row["mpp"] else None,
            area_mm2=float(tissue) if row["area_mm2"] else None,
        )
        for row, scale, tissue in zip(text.to_dict("records"), mpp, area, strict=True)
    ]


def _text(raw: pd.DataFrame, name: str) -> pd.Series:
    if name not in raw.columns:
        return pd.Series("", index=raw.index, dtype=object)
    return raw[name].map(lambda value: "" if pd.isna(value) else str(value).strip()).astype(object)


def _stem(slide: str) -> str:
    name = Path(slide).name
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return Path(name).stem


def _unfit(text: pd.DataFrame) -> list[str]:
    """Tell names that would leave the folder or hide in it, or that two slides claim."""
    faults = []
    named = text[text["slide"] != ""]
    for name, group in named.groupby("name", sort=False):
        where = rows(group.index)
        if not _is_file_name(str(name)):
            faults.append(f"name: {str(name)[:60]!r} is no name of a file ({where})")
    # What differs in capitals alone is one file on many disks.
    for _, group in named.groupby(named["name"].str.lower(), sort=False):
        if len(group) > 1:
            faults.append(
                f"name: {group['name'].iloc[0]!r} is claimed by {len(group)} slides "
                f"({rows(group.index)}); tell them apart in a column name"
            )
    return faults


def _is_file_name(name: str) -> bool:
    # A colon or a backslash is no part of a file's name on every system.
    return bool(name) and not name.startswith(".") and not set(name) & set('/\\:*?"<>|\0\n')


def _outside(text: pd.Series, right: pd.Series, expected: str) -> list[str]:
    wrong = text.index[(text != "") & ~right]
    if not len(wrong):
        return []
    return [f"{text.name}: expected {expected}, found {text[wrong[0]]!r} ({rows(wrong)})"]
