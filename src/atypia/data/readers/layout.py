"""A reader: how it recognises a public layout and makes it a figure table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from atypia.data.columns import list_names
from atypia.data.folders import log_left_out
from atypia.data.images import IMAGE_SUFFIXES
from atypia.data.table import FigureTable
from atypia.data.table_io import format_faults
from atypia.errors import TableError, suggest_name


@dataclass(frozen=True)
class Layout:
    """One public layout.

    Attributes:
        key: its name on the command line.
        title: one line that says what it is and what a folder of it holds.
        table: the file name of its table, or None where it has none of its own name.
        recognises: tells whether a folder is of this layout, by looking at names only.
        read: makes the figure table; raises TableError with all faults.
    """

    key: str
    title: str
    table: str | None
    recognises: Callable[[Path], bool]
    read: Callable[[Path], FigureTable]


def require_columns(text: pd.DataFrame, names: Sequence[str], source: Path) -> None:
    """Check that a layout's table has the columns `names`.

    Raises:
        TableError: the missing ones, each with the nearest that is there.
    """
    present = [str(name) for name in text.columns]
    faults = [
        f"column {name} is missing; the columns are "
        f"{list_names(present)}{suggest_name(name, present)}"
        for name in names
        if name not in present
    ]
    if faults:
        raise TableError(format_faults(str(source), faults))


def list_image_names(folder: Path) -> list[str]:
    """Return the names of the images right inside `folder`, sorted; hidden files left out."""
    files = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    others = [path for path in files if path.suffix.lower() not in IMAGE_SUFFIXES]
    log_left_out(folder, (path for path in others if not path.is_dir()))
    return [path.name for path in files if path.suffix.lower() in IMAGE_SUFFIXES]


def find_images(ids: pd.Series, folder: Path, *below: str) -> list[str]:
    """Return an image path relative to `folder` for every id that names it.

    Args:
        ids: file names, with or without ending.
        folder: the layout's folder.
        below: folders inside it that are searched; where nothing is found, the path is the one
            expected in the first of them, so that the audit can name it.
    """
    exact: dict[str, str] = {}
    by_stem: dict[str, str] = {}
    for name in reversed(below):
        if (folder / name).is_dir():
            for file in list_image_names(folder / name):
                path = file if name == "." else f"{name}/{file}"
                exact[file] = by_stem[PurePosixPath(file).stem] = path
    paths = []
    for name_of_id in map(str, ids):
        stem = (
            PurePosixPath(name_of_id).stem
            if name_of_id.lower().endswith(IMAGE_SUFFIXES)
            else name_of_id
        )
        paths.append(exact.get(name_of_id) or by_stem.get(stem) or f"{below[0]}/{name_of_id}")
    return paths


def number_duplicates(ids: pd.Series) -> pd.Series:
    """Return ids with "#2", "#3" ... after the second and later of equal ones, so none is lost."""
    nth = ids.groupby(ids).cumcount()
    return ids.where((nth == 0) | (ids == ""), ids + "#" + (nth + 1).astype(str))


def find_subfolder(folder: Path, name: str) -> Path | None:
    """Return the folder inside `folder` with this name in any case, or None."""
    if not folder.is_dir():
        return None
    candidates = [path for path in sorted(folder.iterdir()) if path.name.lower() == name.lower()]
    return next((path for path in candidates if path.is_dir()), None)
