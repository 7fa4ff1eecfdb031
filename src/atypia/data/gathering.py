"""Gathering: figures of any layout into one folder that needs nothing outside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from atypia.data.table import FigureTable, write_table
from atypia.errors import AtypiaError, ImageError, TableError
from atypia.files import inside

TABLE_NAME = "figures.csv"
IMAGE_FOLDER = "images"


def gather(
    table: FigureTable, folder: Path, progress: Callable[[int, int], None] | None = None
) -> tuple[FigureTable, list[ImageError]]:
    """Copy the images of a figure table into `folder/images` and write `folder/figures.csv`.

    The table is written last: a folder with a figures.csv is complete. Paths below the images'
    folder stay as they are; bytes are copied, not decoded.

    Args:
        table: the figures. Those without an image of their own (slide and place) are kept.
        folder: where to; made if it is not there.
        progress: called with (images done, images in all) now and then.

    Returns:
        The table as written, and one error for every figure left out because its image is
        missing or cannot be read.

    Raises:
        TableError: the folder holds a figures.csv already; or not one image could be copied.
        AtypiaError: the folder cannot be written.
    """
    target = folder / TABLE_NAME
    if target.exists():
        raise TableError(f"{target}: is there already; choose another folder or take it away")
    images = list(dict.fromkeys(image for image in table.frame["image"] if image))
    new: dict[str, str] = {"": ""}
    faults: list[ImageError] = []
    for done, image in enumerate(images, start=1):
        try:
            path = inside(table.root, image)
            data = _opened(path)
        except AtypiaError as fault:
            faults.append(ImageError(f"left out: {fault}"))
            continue
        new[image] = (PurePosixPath(IMAGE_FOLDER) / path.relative_to(table.root)).as_posix()
        try:
            (folder / new[image]).parent.mkdir(parents=True, exist_ok=True)
            with data, (folder / new[image]).open("wb") as copy:
                shutil.copyfileobj(data, copy)
        except OSError as fault:
            raise AtypiaError(
                f"{folder / new[image]}: cannot be written ({fault.strerror}); free some space or "
                "choose another place"
            ) from fault
        if progress and (done % 50 == 0 or done == len(images)):
            progress(done, len(images))
    if images and len(new) == 1:
        raise TableError(f"{table.root}: none of {len(images):,} images could be read; {faults[0]}")
    kept = table.frame[table.frame["image"].isin(set(new))].reset_index(drop=True)
    gathered = FigureTable(kept.assign(image=kept["image"].map(new)), folder)
    write_table(gathered, target)
    return gathered, faults


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():
        raise ImageError(f"{path}: the image is missing")
    try:
        return path.open("rb")
    except OSError as fault:
        raise ImageError(f"{path}: cannot be read ({fault.strerror})") from fault
