"""Gather figures of any layout in one self-contained folder."""

from __future__ import annotations

import filecmp
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from atypia.data.table import SOURCE_MARK, FigureTable, write_table
from atypia.errors import AtypiaError, ImageError, TableError
from atypia.files import require_outputs, write_whole

TABLE_NAME = "figures.csv"
IMAGE_FOLDER = "images"


def gather(
    table: FigureTable,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    overwrite: bool = False,
) -> tuple[FigureTable, list[ImageError]]:
    """Copy the images of a figure table into `folder/images` and write `folder/figures.csv`.

    The table is written last: a folder with a figures.csv is complete. Paths below the images'
    folder stay as they are; bytes are copied, not decoded.

    Args:
        table: the figures. Those without an image of their own (slide and place) are kept.
        folder: where to; made if it is not there.
        progress: called with (images done, images in all) now and then.
        overwrite: replace a figures.csv, and other images of the same names, that lie there.

    Returns:
        The table as written, and one error for every figure left out because its image is
        missing or cannot be read.

    Raises:
        TableError: the folder holds a figures.csv already, or another image where one is to be
            copied to; or not one image could be copied.
        AtypiaError: the folder cannot be written.
    """
    target = folder / TABLE_NAME
    if target.exists() and not overwrite:
        raise TableError(
            f"{target}: already exists; choose another folder, or replace it with --overwrite"
        )
    require_outputs([target], inputs=[table.root / TABLE_NAME], overwrite=overwrite)
    images = list(dict.fromkeys(image for image in table.frame["image"] if image))
    if not overwrite:
        _require_no_other(table, folder, images)
    new: dict[str, str] = {"": ""}
    faults: list[ImageError] = []
    for done, image in enumerate(images, start=1):
        try:
            content = _read_content(table.image_path(image))
        except AtypiaError as fault:
            faults.append(ImageError(f"left out: {fault}"))
            continue
        new[image] = _place_in_folder(table, image).as_posix()
        with write_whole(folder / new[image]) as partial:
            partial.write_bytes(content)
        if progress and (done % 50 == 0 or done == len(images)):
            progress(done, len(images))
    if images and len(new) == 1:
        raise TableError(
            f"{table.where}: none of {len(images):,} images could be read; {faults[0]}"
        )
    frame = table.frame[table.frame["image"].isin(set(new))].reset_index(drop=True)
    gathered = FigureTable(frame.assign(image=frame["image"].map(new)), folder)
    write_table(gathered, target)
    return gathered, faults


def _place_in_folder(table: FigureTable, image: str) -> PurePosixPath:
    """Return where an image is copied to: images of several sources have a folder for each."""
    root = table.image_place(image)[0]
    source = image.partition(SOURCE_MARK)[0] if table.sources else ""
    relative = table.image_path(image).relative_to(root).as_posix()
    return PurePosixPath(IMAGE_FOLDER) / source / relative


def _require_no_other(table: FigureTable, folder: Path, images: list[str]) -> None:
    """Refuse images in the folder that are not what would be copied over them."""
    others = []
    for image in images:
        try:
            path = table.image_path(image)
        except AtypiaError:  # it will be named, and not be copied
            continue
        copy = folder / _place_in_folder(table, image)
        if copy.exists() and not _is_copy(path, copy):
            others.append(copy)
    if others:
        raise TableError(
            f"{others[0]}: a different image of this name exists ({len(others)} in all); choose "
            "another folder, or replace them with --overwrite"
        )


def _is_copy(image: Path, copy: Path) -> bool:
    try:
        return filecmp.cmp(image, copy, shallow=False)
    except OSError:  # the image is missing, and nothing will be copied
        return True


def _read_content(path: Path) -> bytes:
    if not path.is_file():
        raise ImageError(f"{path}: the image is missing")
    try:
        return path.read_bytes()
    except OSError as fault:
        raise ImageError(f"{path}: cannot be read ({fault.strerror})") from fault
