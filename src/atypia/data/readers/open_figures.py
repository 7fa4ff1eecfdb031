"""Open figures from tables, folders in a known layout, and data frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from atypia.data.join import join_sources, name_sources
from atypia.data.readers.layout import Layout
from atypia.data.readers.registry import LAYOUTS
from atypia.data.table import FigureTable, figures_from_frame, fill_mpp, read_table
from atypia.errors import TableError, suggest_name

#: A folder with one of these is a figure table and its images.
OWN_TABLES = ("figures.csv", "figures.parquet")


#: A source of figures: a file or folder, a data frame, or an open figure table.
Source: TypeAlias = Path | str | pd.DataFrame | FigureTable


def open_figures(
    sources: Source | Sequence[Source],
    *,
    layout: str | None = None,
    mapping: Mapping[str, str] | None = None,
    mpp: float | None = None,
) -> FigureTable:
    """Open figures of one source or several.

    The names that several sources give are kept apart (`data.join`): figures, slides, cases
    and images are called `SOURCE/NAME`, experts' votes `vote_SOURCE/EXPERT`, where SOURCE is the
    name of the file or folder. With one source, names stay as they are.

    Args:
        sources: a figure table (.csv, .parquet); a folder that holds figures.csv or
            figures.parquet; a folder in a known layout; a data frame with a figure table's columns,
            whose images are relative to the working folder; an open table; or a list of these.
        layout: the key of the layout of folders; detected if None.
        mapping: our column name -> theirs; for tables only, and then for all of them.
        mpp: um/px of the figures for which their source states none, in 0.05..5.

    Raises:
        TableError: nothing there, no such layout, a folder of no known layout, faults in a table
            (all of them), or a source that is given twice.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from atypia.data.phantom import make_phantom
        >>> with TemporaryDirectory() as folder:
        ...     lab, public = Path(folder, "lab"), Path(folder, "public")
        ...     for seed, home in enumerate((lab, public)):
        ...         cohort = make_phantom(home, figures=6, slides_per_domain=2, seed=seed)
        ...     print(open_figures(lab))
        ...     print(open_figures([lab, public / "figures.csv"]))
        FigureTable of lab: 6 figures, 6 slides, 3 cases
        FigureTable of lab and public: 12 figures, 12 slides, 6 cases
    """
    several = list_sources(sources)
    if len(several) == 1:
        return _open_source(several[0], layout, mapping, mpp)[0]
    if not several:
        raise TableError("no source of figures; give a table or a folder")
    tables, places = [], []
    mapped = False
    for source in several:
        own = mapping if mapping and _is_table(source) else None
        folder = isinstance(source, Path) and source.is_dir()
        table, place = _open_source(source, layout if folder else None, own, mpp)
        mapped = mapped or own is not None
        tables.append(table)
        places.append(place)
    if mapping and not mapped:
        raise TableError(
            "a column mapping is for tables, but each of the sources is in a layout with columns "
            "of its own; omit the mapping"
        )
    _require_once(several, places)
    names = name_sources([_strip_ending(place) for place in places])
    return join_sources(dict(zip(names, tables, strict=True)))


def list_sources(sources: Source | Sequence[Source]) -> list[Path | pd.DataFrame | FigureTable]:
    """Return sources as a list, paths as `Path`."""
    is_single = isinstance(sources, str | Path | pd.DataFrame | FigureTable)
    several: Sequence[Source] = [sources] if is_single else sources  # type: ignore[list-item, assignment]
    return [Path(source) if isinstance(source, str) else source for source in several]


def source_label(source: Path | pd.DataFrame | FigureTable) -> str:
    """Return what a source is called in a report."""
    if isinstance(source, Path):
        return source.name or str(source)
    return "a data frame" if isinstance(source, pd.DataFrame) else source.name


def _open_source(
    source: Path | pd.DataFrame | FigureTable,
    layout: str | None,
    mapping: Mapping[str, str] | None,
    mpp: float | None,
) -> tuple[FigureTable, Path]:
    """Return the figures of one source, and the file or folder that was read."""
    if isinstance(source, FigureTable):
        if layout is not None or mapping:
            raise TableError(
                f"{source.where}: is an open table; a layout and a column mapping are for what is "
                "read from a file"
            )
        return fill_mpp(source, mpp), source.root
    if isinstance(source, pd.DataFrame):
        return figures_from_frame(source, mapping=mapping, mpp=mpp), Path("frame")
    if not source.exists():
        raise TableError(f"{source}: there is no such file or folder; give a table or a folder")
    chosen = _find_layout(layout) if layout is not None else None
    if source.is_file() and chosen is None:
        chosen = _find_layout_of_table(source, mapping)
    if source.is_file() and chosen is None:
        return read_table(source, mapping=mapping, mpp=mpp), source
    folder = source if source.is_dir() else source.parent
    if chosen is None:
        own = _find_own_table(folder)
        if own is not None:
            return read_table(own, mapping=mapping, mpp=mpp), own
        chosen = _recognise_layout(folder)
    if mapping:
        raise TableError(
            f"{source}: a column mapping is for tables; the layout {chosen.key} has columns of "
            "its own (omit the mapping, or give the table itself)"
        )
    return fill_mpp(chosen.read(folder), mpp), folder


def _find_own_table(folder: Path) -> Path | None:
    return next((folder / name for name in OWN_TABLES if (folder / name).is_file()), None)


def _is_table(source: Path | pd.DataFrame | FigureTable) -> bool:
    if isinstance(source, Path):
        return source.is_file() or _find_own_table(source) is not None
    return isinstance(source, pd.DataFrame)


def _require_once(
    sources: Sequence[Path | pd.DataFrame | FigureTable], places: Sequence[Path]
) -> None:
    first_places: dict[object, int] = {}
    for at, (source, place) in enumerate(zip(sources, places, strict=True)):
        key = place.resolve() if isinstance(source, Path) else id(source)
        if first_places.setdefault(key, at) != at:
            label = place if isinstance(source, Path) else source_label(source)
            raise TableError(
                f"{label}: is given twice; give each source once, or its figures would count twice"
            )


def _strip_ending(place: Path) -> Path:
    """Return the file without its ending, or the folder that a figures.csv is the table of."""
    if place.name in OWN_TABLES:
        return place.parent
    return place.with_suffix("") if place.is_file() else place


def _find_layout(key: str) -> Layout:
    if key not in LAYOUTS:
        raise TableError(
            f"layout {key!r} is not known; "
            f"expected one of {', '.join(LAYOUTS)}{suggest_name(key, LAYOUTS)}"
        )
    return LAYOUTS[key]


def _find_layout_of_table(table: Path, mapping: Mapping[str, str] | None) -> Layout | None:
    """Return the layout whose own table this file is, so that it need not be mapped by hand."""
    if mapping:
        return None
    return next((layout for layout in LAYOUTS.values() if layout.table == table.name), None)


def _recognise_layout(folder: Path) -> Layout:
    for layout in LAYOUTS.values():
        if layout.recognises(folder):
            return layout
    known = "; ".join(f"{layout.key} ({layout.title})" for layout in LAYOUTS.values())
    raise TableError(
        f"{folder}: neither a figure table ({' or '.join(OWN_TABLES)}) nor a known layout; "
        f"known are {known}"
    )
