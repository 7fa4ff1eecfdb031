"""The figure table: one row a figure, validated on reading."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from atypia.data.columns import (
    COLUMNS,
    DOMAIN_COLUMNS,
    MPP_HIGH,
    MPP_LOW,
    NUMBER_COLUMNS,
    OPTIONAL_COLUMNS,
    TEXT_COLUMNS,
    UNKNOWN,
    as_answers,
    as_ids,
    as_numbers,
    as_text,
    vote_names,
)
from atypia.data.domains import unite_spellings
from atypia.data.table_checks import find_faults, format_count
from atypia.data.table_io import FIRST_ROW, format_faults, read_raw, rename_columns, rename_known
from atypia.errors import TableError
from atypia.extras import require_extra
from atypia.files import create_output, join_inside

_WRITTEN_SUFFIXES = (".csv", ".parquet")
#: Ids that a table may hold as floats.
_ID_COLUMNS = ("figure_id", "slide", "case")
#: Separates the name of a source from a name of its own, in a table of several sources.
SOURCE_MARK = "/"


@dataclass(frozen=True)
class FigureTable:
    """Figures and the folder their image paths are relative to.

    Attributes:
        frame: one row a figure, RangeIndex. `figure_id`, `image`, `slide`, `case`, `phase` are
            str ("" for absent; slide defaults to the figure's own id, case to the slide);
            `tumour`, `scanner`, `laboratory`, `species` are str ("unknown" for absent); `x`, `y`
            (px of the slide's level 0) and `mpp` (um/px) are float64 with NaN; `label` and every
            `vote_*` are float64, 1 atypical, 0 normal, NaN absent; `mpp_source` says where mpp
            comes from ("table", "layout", "given" or ""). Further columns are kept as they came.
        root: the folder; for several sources, a folder above theirs.
        notes: values that were normalised or left out on reading; one line each.
        sources: of a table of several sources (`join.join_sources`), the folder of each by its
            name, with which `figure_id`, `slide`, `case` and `image` begin; else empty.

    Example:
        >>> columns = {"figure_id": ["a", "b"], "image": ["a.png", "b.png"], "slide": ["s1", "s1"]}
        >>> table = figures_from_frame(pd.DataFrame(columns), "crops")
        >>> table
        FigureTable of crops: 2 figures, 1 slide, 1 case
        >>> table.image_path("a.png").as_posix()
        'crops/a.png'
        >>> table.frame["scanner"].tolist()
        ['unknown', 'unknown']
    """

    frame: pd.DataFrame
    root: Path
    notes: tuple[str, ...] = ()
    sources: Mapping[str, Path] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of figures."""
        return len(self.frame)

    def __repr__(self) -> str:
        counts = [
            format_count(len(self.frame), "figure"),
            format_count(self.frame["slide"].nunique(), "slide"),
            format_count(self.frame["case"].nunique(), "case"),
        ]
        return f"FigureTable of {self.name or self.where}: {', '.join(counts)}"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what the table is, and its first figures."""
        return f"<p>{escape(repr(self))}</p>{self.frame.head().to_html()}"

    def image_paths(self) -> list[Path]:
        """Return the image path of every figure, in order, each checked to lie inside `root`.

        Raises:
            TableError: figures that have no image of their own (only a slide and a place).
            AtypiaError: a path that leaves `root`, also through a link.
        """
        without = self.frame.loc[self.frame["image"] == "", "figure_id"]
        if len(without):
            raise TableError(
                f"{self.where}: {len(without)} figures have no image (the first is "
                f"{without.iloc[0]}); cut their crops from the slides and fill the column image"
            )
        return [self.image_path(image) for image in self.frame["image"]]

    def image_path(self, image: str) -> Path:
        """Return the path of an entry of the column `image`, checked to lie inside its root.

        Raises:
            AtypiaError: it leaves the root.
        """
        return join_inside(*self.image_place(image))

    def image_place(self, image: str) -> tuple[Path, str]:
        """Return the folder that an entry of the column `image` is relative to, and its path there.

        Of a table of several sources, that is the folder of the figure's source.
        """
        if not self.sources:
            return self.root, image
        source, _, relative = image.partition(SOURCE_MARK)
        return self.sources[source], relative

    def source_names(self) -> pd.Series:
        """Return the name of each figure's source, str (N,); "" in a table of a single source."""
        if not self.sources:
            return pd.Series("", index=self.frame.index, dtype=object)
        return self.frame["figure_id"].str.partition(SOURCE_MARK)[0]

    @property
    def name(self) -> str:
        """The name of the figures' folder, or the names of their sources."""
        return " and ".join(self.sources) or self.root.name

    @property
    def where(self) -> str:
        """The folder of the figures, or those of their sources, for messages."""
        return " and ".join(map(str, self.sources.values())) or str(self.root)


def lack_slide(frame: pd.DataFrame) -> pd.Series:
    """Return, bool (N,), which figures name neither a slide nor a case.

    Each counts as a slide and a case of its own, so folds may divide the slide it came from.
    """
    return (frame["slide"] == frame["figure_id"]) & (frame["case"] == frame["figure_id"])


def count_without_slide(table: FigureTable) -> int:
    """Return how many figures name neither a slide nor a case (see `lack_slide`)."""
    return int(lack_slide(table.frame).sum())


def explain_missing_slides(frame: pd.DataFrame) -> str:
    """Explain what it means that figures name no slide; "" where each names one or a case.

    Args:
        frame: of a figure table; columns `figure_id`, `slide` and `case`.
    """
    alone = int(lack_slide(frame).sum())
    if not alone:
        return ""
    which = "the figures" if alone == len(frame) else f"{alone:,} of {len(frame):,} figures"
    return (
        f"{which} name no slide: folds may divide slides and patients, and intervals count each "
        "such figure as a case; give a column slide"
    )


def format_cases(frame: pd.DataFrame) -> str:
    """Return the number of cases for a message, as far as the figures name them."""
    alone = lack_slide(frame)
    named = format_count(frame.loc[~alone, "case"].nunique(), "case")
    if alone.all():
        return "unknown cases"
    return f"{named} and some unknown" if alone.any() else named


def read_table(
    path: Path, *, mapping: Mapping[str, str] | None = None, mpp: float | None = None
) -> FigureTable:
    """Read a figure table from CSV or Parquet.

    Args:
        path: the file; image paths in it are relative to its folder.
        mapping: our column name -> theirs, where theirs differ.
        mpp: um/px of the images whose row has none, in 0.05..5.

    Returns:
        The table. Further columns of a CSV are kept as strings.

    Raises:
        TableError: the file is missing, empty, no table, or faulty; all faults are listed, one a
            line, with the values and row numbers (the header of a CSV is row 1).
    """
    text = read_raw(path)
    if mapping:
        text = rename_columns(text, mapping, str(path))
    return fill_mpp(figures_from_rows(text, path.parent, str(path)), mpp)


def figures_from_frame(
    frame: pd.DataFrame,
    root: Path | str = ".",
    *,
    mapping: Mapping[str, str] | None = None,
    mpp: float | None = None,
) -> FigureTable:
    """Make a figure table of a data frame in memory.

    Args:
        frame: one row a figure, with at least `figure_id`, and `image` or `slide`, `x` and `y`;
            other columns of a figure table may be missing. None, NaN and "" mean absent. The frame
            is not changed.
        root: the folder image paths are relative to; none of the images need exist yet.
        mapping: our column name -> the frame's, where they differ.
        mpp: um/px of the figures whose row has none, in 0.05..5.

    Returns:
        The table, with every column that `FigureTable` describes.

    Raises:
        TableError: all faults, one a line; rows are counted as in a CSV: the first figure is row 2.

    Example:
        >>> frame = pd.DataFrame({"file": ["a.png", "b.png"], "amf": ["yes", "no"]})
        >>> names = {"figure_id": "file", "image": "file", "label": "amf"}
        >>> table = figures_from_frame(frame, "crops", mapping=names, mpp=0.25)
        >>> table
        FigureTable of crops: 2 figures, 2 slides, 2 cases
        >>> table.frame[["figure_id", "label", "mpp", "mpp_source"]]
          figure_id  label   mpp mpp_source
        0     a.png    1.0  0.25      given
        1     b.png    0.0  0.25      given
    """
    doubled = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
    if doubled:
        names = ", ".join(map(repr, doubled))
        raise TableError(f"the frame has duplicate columns: {names}; keep one of each")
    if mapping:
        frame = rename_columns(frame, mapping, "the frame")
    numbered = frame.set_axis(pd.RangeIndex(FIRST_ROW, FIRST_ROW + len(frame)), axis=0)
    return fill_mpp(figures_from_rows(numbered, Path(root), "the frame"), mpp)


def figures_from_rows(frame: pd.DataFrame, root: Path, source: str) -> FigureTable:
    """As `figures_from_frame`, for readers: the index holds the rows of the file `source`."""
    frame = rename_known(frame, (*COLUMNS, *OPTIONAL_COLUMNS), source)
    checked = [
        name
        for name in map(str, frame.columns)
        if name in COLUMNS or name in vote_names(frame.columns)
    ]
    text = pd.DataFrame({name: as_text(frame[name]) for name in checked}, index=frame.index)
    for name in set(_ID_COLUMNS) & set(checked):
        text[name] = as_ids(text[name])
    faults = find_faults(text, [str(name) for name in frame.columns])
    if faults:
        raise TableError(format_faults(source, faults))
    columns: dict[str, pd.Series] = {}
    notes: list[str] = []
    for name in COLUMNS:
        if name not in text:
            columns[name] = _absent_column(name, frame.index)
            continue
        values = text[name]
        if name in TEXT_COLUMNS:
            columns[name] = values
        elif name in DOMAIN_COLUMNS:
            columns[name], spellings = unite_spellings(values.where(values != "", UNKNOWN))
            if spellings:
                notes.append(f"column {name}: takes {'; '.join(spellings)}")
        elif name in NUMBER_COLUMNS:
            columns[name] = as_numbers(values)
        else:
            columns[name] = as_answers(values)
    columns["slide"] = columns["slide"].where(columns["slide"] != "", columns["figure_id"])
    columns["case"] = columns["case"].where(columns["case"] != "", columns["slide"])
    for name in vote_names(frame.columns):
        columns[name] = as_answers(text[name])
    for name in map(str, frame.columns):
        if name not in columns:
            columns[name] = frame[name]
    absent = pd.Series("", index=frame.index, dtype=object)
    origin = as_text(frame["mpp_source"]) if "mpp_source" in frame else absent
    columns["mpp_source"] = origin.where(origin != "", "table").where(columns["mpp"].notna(), "")
    whole = pd.DataFrame(columns).reset_index(drop=True)
    return FigureTable(whole, root, tuple(notes))


def _absent_column(name: str, index: pd.Index) -> pd.Series:
    """Return a column of a figure table without values."""
    if name in DOMAIN_COLUMNS:
        return pd.Series(UNKNOWN, index, dtype=object)
    if name in TEXT_COLUMNS:
        return pd.Series("", index, dtype=object)
    return pd.Series(np.nan, index, dtype=np.float64)


def fill_mpp(table: FigureTable, mpp: float | None) -> FigureTable:
    """Return the table with `mpp` (um/px) for the figures that have none.

    Existing values are kept, with a note where they differ from `mpp`.

    Raises:
        TableError: `mpp` is not in 0.05..5.
    """
    if mpp is None:
        return table
    if not (math.isfinite(mpp) and MPP_LOW <= mpp <= MPP_HIGH):
        raise TableError(
            f"mpp {mpp:g}: expected {MPP_LOW} to {MPP_HIGH} um/px; a 40x scan has about 0.25, "
            "20x about 0.5"
        )
    own = table.frame["mpp"]
    without = own.isna()
    frame = table.frame.assign(
        mpp=own.fillna(float(mpp)), mpp_source=table.frame["mpp_source"].mask(without, "given")
    )
    others = own[~without & ~np.isclose(own, mpp)]
    if not len(others):
        return replace(table, frame=frame)
    values = f"{others.min():g}" if others.nunique() == 1 else f"{others.min():g}-{others.max():g}"
    note = (
        f"mpp {mpp:g} fills {format_count(int(without.sum()), 'figure')} that had none; "
        f"{format_count(len(others), 'figure')} with another one keep it ({values} um/px); to "
        "change it, correct the column mpp (`atypia data import` makes a table of a folder)"
    )
    return replace(table, frame=frame, notes=(*table.notes, note))


def write_table(table: FigureTable, path: Path) -> None:
    """Write a figure table as CSV or Parquet, by the file's ending, whole or not at all.

    Image paths are written relative to the file's folder, so that reading it finds the images.
    Votes and labels are written as 0, 1 or empty.

    Raises:
        TableError: another ending; or images that do not lie below the file's folder.
        AtypiaError: the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITTEN_SUFFIXES:
        raise TableError(f"{path}: expected a name ending in .csv or .parquet")
    if suffix == ".parquet":
        require_extra("parquet", f"{path}: a Parquet table")
    frame = table.frame.copy()
    frame["image"] = _relate_images(path.parent, table)
    for name in ("label", *vote_names(frame.columns)):
        frame[name] = frame[name].astype("Int64")
    with create_output(path) as partial:
        if suffix == ".csv":
            frame.to_csv(partial, index=False)
        else:
            frame.to_parquet(partial, index=False)


def _relate_images(folder: Path, table: FigureTable) -> pd.Series:
    images = table.frame["image"]
    target = folder.resolve()
    if not (images != "").any() or (not table.sources and table.root.resolve() == target):
        return images
    prefixes: dict[Path, Path] = {}
    for root in table.sources.values() or [table.root]:
        try:
            prefixes[root] = root.resolve().relative_to(target)
        except ValueError:
            raise TableError(
                f"{folder}: the images lie in {os.fspath(root)}, which is not below it; write "
                "the table there, or gather the images first (atypia data import)"
            ) from None

    def relative(image: str) -> str:
        root, path = table.image_place(image)
        return (prefixes[root] / path).as_posix()

    return images.map(lambda image: relative(image) if image else "")
