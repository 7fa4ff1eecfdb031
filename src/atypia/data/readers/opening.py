"""Open figures, whatever they come in: a table, or a folder in a known layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from atypia.data.columns import nearest
from atypia.data.readers.layout import Layout
from atypia.data.readers.registry import LAYOUTS
from atypia.data.table import FigureTable, read_table, with_mpp
from atypia.errors import TableError

#: A folder with one of these is a figure table and its images.
OWN_TABLES = ("figures.csv", "figures.parquet")


def open_figures(
    source: Path | str,
    *,
    layout: str | None = None,
    mapping: Mapping[str, str] | None = None,
    mpp: float | None = None,
) -> FigureTable:
    """Open figures.

    Args:
        source: a figure table (.csv, .parquet); a folder that holds figures.csv or
            figures.parquet; or a folder in a known layout.
        layout: the key of the layout, where it is not to be found out.
        mapping: our column name -> theirs; for tables only.
        mpp: um/px of the figures for which the source states none, in 0.05..5.

    Raises:
        TableError: nothing there, no such layout, a folder of no known layout, or faults in the
            table (all of them).
    """
    source = Path(source)
    if not source.exists():
        raise TableError(f"{source}: there is no such file or folder; give a table or a folder")
    chosen = _named(layout) if layout is not None else None
    if source.is_file() and chosen is None:
        chosen = _table_of_layout(source, mapping)
    if source.is_file() and chosen is None:
        return read_table(source, mapping=mapping, mpp=mpp)
    folder = source if source.is_dir() else source.parent
    if chosen is None:
        for name in OWN_TABLES:
            if (folder / name).is_file():
                return read_table(folder / name, mapping=mapping, mpp=mpp)
        chosen = _recognised(folder)
    if mapping:
        raise TableError(
            f"{source}: a column mapping is for tables; the layout {chosen.key} has columns of "
            "its own (leave the mapping away, or give the table itself)"
        )
    return with_mpp(chosen.read(folder), mpp)


def _named(key: str) -> Layout:
    if key not in LAYOUTS:
        raise TableError(
            f"layout {key!r} is not known{nearest(key, list(LAYOUTS))}; "
            f"expected one of {', '.join(LAYOUTS)}"
        )
    return LAYOUTS[key]


def _table_of_layout(table: Path, mapping: Mapping[str, str] | None) -> Layout | None:
    """Return the layout whose own table this file is, so that it need not be mapped by hand."""
    if mapping:
        return None
    return next((one for one in LAYOUTS.values() if one.table == table.name), None)


def _recognised(folder: Path) -> Layout:
    for layout in LAYOUTS.values():
        if layout.recognises(folder):
            return layout
    known = "; ".join(f"{layout.key} ({layout.title})" for layout in LAYOUTS.values())
    raise TableError(
        f"{folder}: neither a figure table ({' or '.join(OWN_TABLES)}) nor a known layout; "
        f"known are {known}"
    )
