"""Sources: where figures for prediction come from, in the order given.

A source is a folder of images, one image, a TIFF of many pages, a figure table, or a folder in a
known layout.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.columns import MPP_HIGH, MPP_LOW
from atypia.data.folders import list_images
from atypia.data.images import IMAGE_SUFFIXES, figure_pages, read_image, read_pages
from atypia.data.readers.open_figures import OWN_TABLES, list_sources, open_figures
from atypia.data.readers.open_figures import Source as FigureSource
from atypia.data.readers.registry import LAYOUTS
from atypia.data.table import FigureTable, fill_mpp
from atypia.data.table_io import TABLE_SUFFIXES, refuse_spreadsheet
from atypia.errors import AtypiaError, ImageError
from atypia.files import escape_text

RGBImage = npt.NDArray[np.uint8]
MppSource = Literal["table", "layout", "slide", "given", "assumed"]

Reader = Callable[[], RGBImage]

_TIFF_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class Figure:
    """One figure to classify.

    Attributes:
        figure_id: unique over all sources of a run.
        image: as given: a path, or the table's own entry; of a TIFF of several figures a page, as
            `stack.tif#3`, counted from 1.
        mpp: um/px, or None where it is not known.
        mpp_source: where it comes from; "assumed" where it is not known.
        pixels: reads the image, uint8 (H, W, 3); raises AtypiaError where it cannot be used.
    """

    figure_id: str
    image: str
    mpp: float | None
    mpp_source: MppSource
    pixels: Reader


@dataclass(frozen=True)
class Source:
    """Figures that belong together; all but their pixels is known beforehand.

    Attributes:
        path: as given.
        kind: in words.
        ids: `Figure.figure_id` of each figure, in order.
        images: `Figure.image` of each.
        mpp: `Figure.mpp` of each.
        mpp_sources: `Figure.mpp_source` of each.
        readers: gives `Figure.pixels` of each; every call begins with the first.
        notes: of the figure table, for people.
        files: gives the file of each image; None of a page, and of an entry without an image.
    """

    path: Path
    kind: Literal["folder of images", "image", "stack of pages", "figure table", "layout", "slide"]
    ids: Sequence[str]
    images: Sequence[str]
    mpp: Sequence[float | None]
    mpp_sources: Sequence[MppSource]
    readers: Callable[[], Iterator[Reader]]
    notes: tuple[str, ...] = ()
    files: Callable[[], Sequence[Path | None]] = list

    def __len__(self) -> int:
        """Return the number of figures."""
        return len(self.ids)

    def figures(self) -> Iterator[Figure]:
        """Give the figures in order, holding no more than one page's pixels."""
        yield from map(Figure, self.ids, self.images, self.mpp, self.mpp_sources, self.readers())


def open_sources(
    paths: FigureSource | Sequence[FigureSource],
    *,
    mpp: float | None = None,
    layout: str | None = None,
    mapping: Mapping[str, str] | None = None,
) -> list[Source]:
    """Open sources; no pixel is read yet.

    Args:
        paths: of images, folders, TIFFs of many pages and figure tables, or open tables; or one of
            these.
        mpp: um/px of the images for which no table states it, in 0.05..5.
        layout: key of the layout of the folders, where it is not to be found out.
        mapping: our column name -> theirs, for figure tables.

    Raises:
        AtypiaError: a source is missing, empty or of another kind, a table is faulty, mpp is out
            of range, two sources hold the same figure_id, or columns are named and no source is a
            table.
    """
    require_mpp(mpp)
    several = list_sources(paths)
    sources = [
        _table(path.root, fill_mpp(path, mpp), "figure table")
        if isinstance(path, FigureTable)
        else _open(path, mpp, layout, mapping)
        for path in (
            open_figures(source, mapping=mapping) if isinstance(source, pd.DataFrame) else source
            for source in several
        )
    ]
    if mapping and not any(source.kind in ("figure table", "layout") for source in sources):
        raise AtypiaError(
            f"{sources[0].path}: is no figure table and has no columns to name; leave out --column"
        )
    if _shared_id(sources) is not None:
        # Two folders may hold a 1.png each: with the folder in front their names differ.
        files = ("folder of images", "image", "stack of pages")
        sources = [
            replace(source, ids=source.images) if source.kind in files else source
            for source in sources
        ]
    shared = _shared_id(sources)
    if shared is not None:
        raise AtypiaError(
            f"figure_id {shared!r} is in more than one of the sources, so their results would be "
            "confused; predict on them one at a time"
        )
    return sources


def require_mpp(mpp: float | None) -> None:
    """Refuse a resolution that no microscope has.

    Raises:
        AtypiaError: `mpp` is given and outside 0.05..5 um/px.
    """
    if mpp is not None and not MPP_LOW <= mpp <= MPP_HIGH:
        raise AtypiaError(
            f"mpp {mpp:g}: expected {MPP_LOW} to {MPP_HIGH} um/px; a 40x scan has about 0.25, "
            "20x about 0.5"
        )


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts `2.png` before `10.png`."""
    parts = re.split(r"(\d+)", name.lower())
    key = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
    # Names that differ in capitals or leading zeros only still need one order.
    return (*key, (-2, name))


def _open(
    path: Path, mpp: float | None, layout: str | None, mapping: Mapping[str, str] | None
) -> Source:
    if not path.exists():
        raise AtypiaError(
            f"{path}: there is no such file or folder; give images, a folder or a figure table"
        )
    suffix = path.suffix.lower()
    if path.is_dir():
        if layout is None and not _is_layout(path):
            return _folder(path, mpp)
        return _table(path, open_figures(path, layout=layout, mapping=mapping, mpp=mpp), "layout")
    if suffix in TABLE_SUFFIXES:
        return _table(
            path, open_figures(path, layout=layout, mapping=mapping, mpp=mpp), "figure table"
        )
    refuse_spreadsheet(path)
    if suffix not in IMAGE_SUFFIXES:
        raise AtypiaError(
            f"{path}: neither an image ({', '.join(IMAGE_SUFFIXES)}) nor a figure table "
            f"({', '.join(TABLE_SUFFIXES)}); give one of these, or a folder"
        )
    source = _files(path, "image", path.parent, [path.name], mpp)
    return source if len(source) == 1 else replace(source, kind="stack of pages")


def _is_layout(folder: Path) -> bool:
    has_table = any((folder / name).is_file() for name in OWN_TABLES)
    return has_table or any(layout.recognises(folder) for layout in LAYOUTS.values())


def _folder(folder: Path, mpp: float | None) -> Source:
    names = sorted(list_images(folder), key=natural_key)
    if not names:
        raise AtypiaError(
            f"{folder}: holds no images ({', '.join(IMAGE_SUFFIXES)}); give a folder with one "
            "image a figure"
        )
    return _files(folder, "folder of images", folder, names, mpp)


def _files(
    path: Path,
    kind: Literal["folder of images", "image"],
    folder: Path,
    names: Sequence[str],
    mpp: float | None,
) -> Source:
    """Make a source of image files: one figure each, or one for each page of a TIFF."""
    pages = [_pages(folder / name) for name in names]
    ids = [
        name if len(numbers) == 1 else f"{name}#{number}"
        for name, numbers in zip(names, pages, strict=True)
        for number in numbers
    ]

    def readers() -> Iterator[Reader]:
        for name, numbers in zip(names, pages, strict=True):
            if len(numbers) == 1:
                yield partial(read_image, folder / name)
            else:
                yield from _page_readers(folder / name, numbers)

    def files() -> list[Path | None]:
        return [
            folder / name if len(numbers) == 1 else None
            for name, numbers in zip(names, pages, strict=True)
            for _ in numbers
        ]

    origin: MppSource = "assumed" if mpp is None else "given"
    ids = [escape_text(name) for name in ids]
    images = [escape_text(str(folder)) + "/" + name for name in ids]
    return Source(
        path, kind, ids, images, [mpp] * len(ids), [origin] * len(ids), readers, files=files
    )


def _table(path: Path, table: FigureTable, kind: Literal["figure table", "layout"]) -> Source:
    frame = table.frame
    mpp = [float(value) if np.isfinite(value) else None for value in frame["mpp"]]
    origins: list[MppSource] = [
        "assumed" if value is None else source
        for value, source in zip(mpp, frame["mpp_source"], strict=True)
    ]
    ids, images = frame["figure_id"].tolist(), frame["image"].tolist()

    def readers() -> Iterator[Reader]:
        for name, image in zip(ids, images, strict=True):
            yield partial(_read_row, table, name, image)

    def files() -> list[Path | None]:
        return [Path(*table.image_place(image)) if image else None for image in images]

    return Source(path, kind, ids, images, mpp, origins, readers, table.notes, files)


def _read_row(table: FigureTable, name: str, image: str) -> RGBImage:
    if not image:
        raise ImageError(f"{name}: has no image; cut its crop and fill the column image")
    return read_image(table.image_path(image))


def _page_readers(path: Path, numbers: Sequence[int]) -> Iterator[Reader]:
    """Give the pages of a TIFF, exactly `numbers`, whatever is wrong with the file by now."""
    count = 0
    fault: ImageError | None = None
    try:
        for page in islice(read_pages(path), len(numbers)):
            yield partial(_return_page, page)
            count += 1
    except ImageError as caught:
        fault = caught
    for number in numbers[count:]:
        missing = ImageError(f"{path}, page {number}: cannot be found; export the file again")
        yield partial(_return_page, fault or missing)


def _return_page(page: RGBImage | ImageError) -> RGBImage:
    if isinstance(page, ImageError):
        raise page
    return page


def _pages(path: Path) -> list[int]:
    """Return which pages of an image file are figures, counted from 1, from its header.

    A file that cannot be read counts as one page; reading that page says what is wrong.
    """
    if path.suffix.lower() not in _TIFF_SUFFIXES:
        return [1]
    try:
        return figure_pages(path)
    except ImageError:
        return [1]


def _shared_id(sources: Sequence[Source]) -> str | None:
    """Return a figure_id that occurs twice, or None."""
    seen: set[str] = set()
    for name in chain.from_iterable(source.ids for source in sources):
        if name in seen:
            return name
        seen.add(name)
    return None
