"""OMG-Octo atypical (Shen et al. 2025, Zenodo 16107743).

Files: one CSV with the columns `image_id, filename, majority` (its name varies) and a folder of
crops. Prevalence is inverted (1,378 of 1,757 figures are atypical), so it shifts calibration.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from atypia.data.readers.layout import Layout, find_images, number_duplicates, require_columns
from atypia.data.table import FigureTable, figures_from_rows
from atypia.data.table_io import read_header, read_raw
from atypia.errors import TableError

_COLUMNS = ("image_id", "filename", "majority")


def recognises(folder: Path) -> bool:
    """Tell whether `folder` holds a CSV with exactly OMG-Octo's three columns."""
    return bool(_find_tables(folder))


def read(folder: Path) -> FigureTable:
    """Read OMG-Octo: `image_id` names figure and crop, `filename` the slide, `majority` the class.

    The crops are looked for in every folder inside; mpp is not stated anywhere: give it. A row
    whose image is missing is kept: the audit names it.

    Raises:
        TableError: no table with these columns, several of them, or faults in it.
    """
    tables = _find_tables(folder)
    if len(tables) != 1:
        names = ", ".join(path.name for path in tables) or "none"
        raise TableError(
            f"{folder}: expected one CSV with the columns {', '.join(_COLUMNS)}; found {names}"
        )
    text = read_raw(tables[0])
    require_columns(text, _COLUMNS, tables[0])
    inner = sorted(path.name for path in folder.iterdir() if path.is_dir())
    rows = pd.DataFrame(
        {
            "figure_id": number_duplicates(text["image_id"]),
            "image": find_images(text["image_id"], folder, *inner, "."),
            "slide": text["filename"],
            "label": text["majority"],
        },
        index=text.index,
    )
    return figures_from_rows(rows, folder, str(tables[0]))


def _find_tables(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.csv")) if _column_names(path) == set(_COLUMNS)]


def _column_names(path: Path) -> set[str]:
    try:
        return {name for name in read_header(path) if name}
    except TableError:
        return set()


LAYOUT = Layout(
    key="omg-octo",
    title="OMG-Octo atypical: a CSV with image_id, filename, majority, and a folder of crops",
    table=None,
    recognises=recognises,
    read=read,
)
