"""MIDOG 2025, Track 2, training set (Weiss et al. 2025, Zenodo 16044804).

Files: `MIDOG25_Atypical_Classification_Train_Set.csv` and the crops, by their `image_id`, in
`MIDOG25_Binary_Classification_Train_Set/`.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pandas as pd

from atypia.data.columns import DOMAIN_COLUMNS
from atypia.data.readers.layout import Layout, find_images, number_duplicates, require_columns
from atypia.data.readers.midog import midog_origin, scanner_mpp, spell_as_known
from atypia.data.table import FigureTable, figures_from_rows
from atypia.data.table_io import read_raw

TABLE = "MIDOG25_Atypical_Classification_Train_Set.csv"
IMAGES = "MIDOG25_Binary_Classification_Train_Set"
_THEIRS = {"tumour": "Tumor", "scanner": "Scanner", "laboratory": "Origin", "species": "Species"}
_EXPERTS = ("expert1", "expert2", "expert3")


def recognises(folder: Path) -> bool:
    """Tell whether `folder` holds the MIDOG 2025 training set."""
    return (folder / TABLE).is_file()


def read(folder: Path) -> FigureTable:
    """Read the MIDOG 2025 training set.

    A figure's id is its `image_id`, its slide `filename`. Where the table leaves a part of the
    domain empty, the known slide ranges fill it. Names are spelt as in the other layouts of the
    MIDOG family, so that one domain carries one name. mpp follows from the scanner
    (`readers.midog`). The 49 rows whose majority contradicts their votes are kept as they are: the
    audit names them. So is a row whose image is missing.

    Raises:
        TableError: the table is missing or faulty; all faults at once.
    """
    path = folder / TABLE
    text = read_raw(path)
    require_columns(text, ["image_id", "filename", "majority"], path)
    rows = pd.DataFrame(
        {
            "figure_id": number_duplicates(text["image_id"]),
            "image": find_images(text["image_id"], folder, IMAGES),
            "slide": text["filename"],
            "label": text["majority"],
        },
        index=text.index,
    )
    for ours, theirs in (("x", "coordinateX"), ("y", "coordinateY")):
        if theirs in text.columns:
            rows[ours] = text[theirs]
    for number, expert in enumerate(_EXPERTS, start=1):
        if expert in text.columns:
            rows[f"vote_{number}"] = text[expert]
    origins = [midog_origin(_slide_number(slide)) for slide in text["filename"]]
    for part in DOMAIN_COLUMNS:
        known = pd.Series([getattr(o, part) if o else "" for o in origins], index=text.index)
        written = text[_THEIRS[part]] if _THEIRS[part] in text.columns else known
        rows[part] = written.where(written != "", known).map(partial(spell_as_known, part))
    rows["mpp"] = rows["scanner"].map(scanner_mpp)
    rows["mpp_source"] = rows["mpp"].notna().map({True: "layout", False: ""})
    return figures_from_rows(rows, folder, str(path))


def _slide_number(slide: str) -> int:
    match = re.match(r"\d+", slide)
    return int(match[0]) if match else 0


LAYOUT = Layout(
    key="midog25",
    title=f"MIDOG 2025 training set: {TABLE} and {IMAGES}/",
    table=TABLE,
    recognises=recognises,
    read=read,
)
