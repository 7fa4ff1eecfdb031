"""AMi-Br_Benchmark: AMi-Br, AtNorM-Br and AtNorM-MD (Banerjee et al. 2026, arXiv 2506.21444).

Files: `AMi-Br/{Normal,Atypical}/{dataset}_{uid}.png` with `amibr_train_split.csv`;
`AtNorM-Br/{Normal,Atypical}/N.png`; `AtNorM-MD/{Normal,Atypical}/N.png` with
`AtNorM-MD_expert_votes.csv` (`Filename, Expert_1..Expert_5, Majority`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath

import pandas as pd

from atypia.data.readers.ami_br import find_patches, make_rows
from atypia.data.readers.atnorm_md import slides_of_figures
from atypia.data.readers.layout import Layout, find_subfolder, list_image_names, require_columns
from atypia.data.readers.midog import BREAST, HUMAN
from atypia.data.table import FigureTable, figures_from_frame, figures_from_rows
from atypia.data.table_io import read_raw
from atypia.errors import TableError

SPLIT_TABLE = "amibr_train_split.csv"
VOTES_TABLE = "AtNorM-MD_expert_votes.csv"
_EXPERTS = range(1, 6)


def recognises(folder: Path) -> bool:
    """Tell whether `folder` is the benchmark's folder, or that of one of its sets inside it."""
    return _is_benchmark(folder) or _find_set(folder) is not None


def read(folder: Path) -> FigureTable:
    """Read the benchmark: all its sets, or one where `folder` is that set's own folder.

    The column `set` names the set. `split` is "train" for AMi-Br figures in the training split
    and "held-out" for all others: they are there to measure on. Where `folder` is AtNorM-Br's or
    AtNorM-MD's own, somebody asks for this set by name, and its figures can be trained on.

    Slides, places, domains and mpp of AtNorM-MD are those of `readers.atnorm_md`. AMi-Br figures
    that the split table does not list have no slide here (each counts as its own) and no mpp; nor
    have those of AtNorM-Br.

    Raises:
        TableError: a table is missing or faulty; all faults at once.
    """
    set_name = _find_set(folder)
    home = folder.parent if set_name and not _is_benchmark(folder) else folder
    chosen = (
        [set_name] if set_name and home != folder else [n for n in _SETS if find_subfolder(home, n)]
    )
    tables = [_SETS[name](home) for name in chosen]
    if not tables:
        raise TableError(f"{folder}: none of the benchmark's sets ({', '.join(_SETS)}) is there")
    frame = pd.concat([table.frame for table in tables], ignore_index=True)
    frame[["phase_1", "phase_2"]] = frame.reindex(columns=["phase_1", "phase_2"]).fillna("")
    if set_name in _WITHOUT_SPLIT and chosen == [set_name]:
        frame["split"] = "train"
    table = figures_from_frame(frame, home)
    return replace(table, notes=(*chain.from_iterable(t.notes for t in tables), *table.notes))


def _is_benchmark(folder: Path) -> bool:
    return (folder / SPLIT_TABLE).is_file() or (folder / VOTES_TABLE).is_file()


def _find_set(folder: Path) -> str | None:
    name = folder.resolve().name
    return name if name in _SETS and _is_benchmark(folder.parent) else None


def _read_ami_br(home: Path) -> FigureTable:
    path = home / SPLIT_TABLE
    text = read_raw(path)
    votes = [f"expert{number}_atypical" for number in (1, 2, 3)]
    require_columns(text, ["slide", "dataset", "uid", *votes, "majority_atypical"], path)
    images = find_patches(home, "AMi-Br")
    listed = figures_from_rows(make_rows(text, images).assign(split="train"), home, str(path)).frame
    rest = {stem: image for stem, image in images.items() if stem not in set(listed["figure_id"])}
    unlisted = pd.DataFrame(
        {"figure_id": [*rest], "image": [*rest.values()], "tumour": BREAST, "species": HUMAN}
    ).assign(label=[_folder_label(image) for image in rest.values()], split="held-out")
    parts = [listed, figures_from_frame(unlisted, home).frame] if rest else [listed]
    return FigureTable(pd.concat(parts, ignore_index=True).assign(set="AMi-Br"), home)


def _read_atnorm_br(home: Path) -> FigureTable:
    frame = _list_class_folders(home, "AtNorM-Br")
    return figures_from_frame(frame.assign(tumour=BREAST, laboratory="TCGA", species=HUMAN), home)


def _read_atnorm_md(home: Path) -> FigureTable:
    listed = _list_class_folders(home, "AtNorM-MD")
    path = home / VOTES_TABLE
    if not path.is_file():
        return _read_rows_of_atnorm_md(listed, home, str(path))
    text = read_raw(path)
    require_columns(text, ["Filename", "Majority", *(f"Expert_{n}" for n in _EXPERTS)], path)
    by_file = {PurePosixPath(image).name: image for image in listed["image"]}
    folder_of = {"atypical": "Atypical", "amf": "Atypical"}
    images = [
        by_file.get(file, f"AtNorM-MD/{folder_of.get(majority.lower(), 'Normal')}/{file}")
        for file, majority in zip(text["Filename"], text["Majority"], strict=True)
    ]
    voted = pd.DataFrame(
        {
            "figure_id": [_figure_id(image) for image in images],
            "image": images,
            "label": text["Majority"],
            **{f"vote_{n}": text[f"Expert_{n}"] for n in _EXPERTS},
        },
        index=text.index,
    ).assign(set="AtNorM-MD", split="held-out")
    unvoted = listed[~listed["image"].isin(set(images))]
    rows = pd.concat([voted, unvoted]).fillna("")
    return _read_rows_of_atnorm_md(rows, home, str(path))


def _read_rows_of_atnorm_md(rows: pd.DataFrame, home: Path, where: str) -> FigureTable:
    """Return the table of rows, with the slides that the set itself does not name."""
    slides, note = slides_of_figures([*rows["image"]], rows["label"])
    table = figures_from_rows(pd.concat([rows, slides], axis=1), home, where)
    return replace(table, notes=(*table.notes, note)) if note else table


def _list_class_folders(home: Path, name: str) -> pd.DataFrame:
    """Return one row an image of a set that has nothing but class folders."""
    images: list[str] = []
    parent = find_subfolder(home, name)
    for label in ("normal", "atypical"):
        classed = find_subfolder(parent, label) if parent else None
        if parent and classed:
            images += [f"{parent.name}/{classed.name}/{file}" for file in list_image_names(classed)]
    return pd.DataFrame(
        {
            "figure_id": [_figure_id(image) for image in images],
            "image": images,
            "label": [_folder_label(image) for image in images],
        }
    ).assign(set=name, split="held-out")


def _figure_id(image: str) -> str:
    """Return the figure's id: the path without its ending, for numbers recur in every folder."""
    return PurePosixPath(image).with_suffix("").as_posix()


def _folder_label(image: str) -> int:
    return int(PurePosixPath(image).parent.name.lower() == "atypical")


_WITHOUT_SPLIT = ("AtNorM-Br", "AtNorM-MD")
_SETS: dict[str, Callable[[Path], FigureTable]] = {
    "AMi-Br": _read_ami_br,
    "AtNorM-Br": _read_atnorm_br,
    "AtNorM-MD": _read_atnorm_md,
}

LAYOUT = Layout(
    key="ami-br-benchmark",
    title=f"AMi-Br_Benchmark: {SPLIT_TABLE}, {VOTES_TABLE}, AMi-Br/, AtNorM-Br/, AtNorM-MD/",
    table=SPLIT_TABLE,
    recognises=recognises,
    read=read,
)
