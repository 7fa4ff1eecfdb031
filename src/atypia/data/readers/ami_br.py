"""AMi-Br: breast cancer of MIDOG 2021 and TUPAC16, three experts' votes (Bertram et al. 2025).

Files: `AMI-BR.csv` and `patches/{normal,atypical}/{dataset}_{uid}.png` (or .jpg, .jpeg, .tif).
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pandas as pd

from atypia.data.columns import DOMAIN_COLUMNS
from atypia.data.readers.layout import Layout, find_subfolder, list_image_names, require_columns
from atypia.data.readers.midog import BREAST, HUMAN, SlideOrigin, midog_origin, scanner_mpp
from atypia.data.table import FigureTable, figures_from_rows
from atypia.data.table_io import read_raw

TABLE = "AMI-BR.csv"
_EXPERTS = (1, 2, 3)
_CLASSES = ("normal", "atypical")

#: TUPAC16 slides: the second and third centre's scanner is stated from memory (unverified).
_TUPAC16 = (
    (1, 23, SlideOrigin(BREAST, "Aperio XT", "UMC Utrecht", HUMAN)),
    (24, 48, SlideOrigin(BREAST, "Leica SCN400", "TUPAC16 second centre", HUMAN)),
    (49, 73, SlideOrigin(BREAST, "Leica SCN400", "TUPAC16 third centre", HUMAN)),
)


def recognises(folder: Path) -> bool:
    """Tell whether `folder` holds AMi-Br."""
    return (folder / TABLE).is_file()


def read(folder: Path) -> FigureTable:
    """Read AMi-Br.

    A figure's id is `{dataset}_{uid}`; its domain follows from dataset and slide number; its mpp
    from the scanner: 0.23 um/px on Hamamatsu XR and S360, 0.25 on Aperio CS2 and for TUPAC16
    (40x), as the README of the published training part states ("about"). `phase_1` and `phase_2`
    are the two experts' labels, `phase` what both say ("" where they differ). A row whose patch
    file is missing keeps the path it should have: the audit reports it. A row whose majority
    contradicts its votes is kept as it is: the audit reports it too.

    Raises:
        TableError: `AMI-BR.csv` is missing or faulty; all faults at once.
    """
    path = folder / TABLE
    text = read_raw(path)
    votes = [f"expert{number}_atypical" for number in _EXPERTS]
    require_columns(text, ["slide", "dataset", "uid", *votes, "majority_atypical"], path)
    return figures_from_rows(make_rows(text, find_patches(folder, "patches")), folder, str(path))


def make_rows(text: pd.DataFrame, images: dict[str, str]) -> pd.DataFrame:
    """Return rows in AMi-Br's columns as rows of a figure table.

    Args:
        text: AMi-Br's rows as strings.
        images: figure id -> image path; ids without an image get the path they should have.
    """
    ids = text["dataset"] + "_" + text["uid"]
    absent = pd.Series("", index=text.index)
    phases = [text.get(f"expert{number}_label", absent) for number in (1, 2)]
    rows = pd.DataFrame(
        {
            "figure_id": ids,
            "image": [
                images.get(figure, _expected_path(figure, answer))
                for figure, answer in zip(ids, text["majority_atypical"], strict=True)
            ],
            "slide": text["slide"],
            "x": text.get("x", absent),
            "y": text.get("y", absent),
            **{f"vote_{n}": text[f"expert{n}_atypical"] for n in _EXPERTS},
            "label": text["majority_atypical"],
            "phase": phases[0].where(phases[0] == phases[1], ""),
            "phase_1": phases[0],
            "phase_2": phases[1],
        },
        index=text.index,
    )
    origins = [
        find_origin(dataset, slide)
        for dataset, slide in zip(text["dataset"], text["slide"], strict=True)
    ]
    for part in DOMAIN_COLUMNS:
        rows[part] = [getattr(origin, part) if origin else "" for origin in origins]
    rows["mpp"] = [scanner_mpp(origin.scanner) if origin else None for origin in origins]
    rows["mpp_source"] = rows["mpp"].notna().map({True: "layout", False: ""})
    return rows


def find_origin(dataset: str, slide: str) -> SlideOrigin | None:
    """Return where a slide of MIDOG21 or TUPAC16 came from, or None if that is not known."""
    number = re.match(r"\d+", slide)
    if not number:
        return None
    if dataset == "MIDOG21":
        return midog_origin(int(number[0]))
    for first, last, origin in _TUPAC16:
        if dataset == "TUPAC16" and first <= int(number[0]) <= last:
            return origin
    return None


def find_patches(folder: Path, below: str) -> dict[str, str]:
    """Return name without ending -> path relative to `folder`, of both class folders' images."""
    images: dict[str, str] = {}
    parent = find_subfolder(folder, below)
    for name in _CLASSES:
        classed = find_subfolder(parent, name) if parent else None
        if parent and classed:
            for file in list_image_names(classed):
                images[PurePosixPath(file).stem] = f"{parent.name}/{classed.name}/{file}"
    return images


def _expected_path(figure: str, answer: str) -> str:
    atypical = answer.lower() in ("true", "1")
    return f"patches/{'atypical' if atypical else 'normal'}/{figure}.png"


LAYOUT = Layout(
    key="ami-br",
    title="AMi-Br: AMI-BR.csv and patches/{normal,atypical}/",
    table=TABLE,
    recognises=recognises,
    read=read,
)
