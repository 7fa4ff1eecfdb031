"""Class folders: `normal/` and `atypical/`, or `NMF/` and `AMF/`; one image a figure."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from atypia.data.folders import count_images, list_images
from atypia.data.images import IMAGE_SUFFIXES
from atypia.data.readers.layout import Layout
from atypia.data.table import FigureTable, figures_from_frame
from atypia.data.table_checks import format_count
from atypia.errors import TableError

_log = logging.getLogger(__name__)

_CLASSES = {"normal": 0, "nmf": 0, "atypical": 1, "amf": 1}


def recognises(folder: Path) -> bool:
    """Tell whether `folder` has a folder for at least one class."""
    return bool(_find_class_folders(folder))


def read(folder: Path) -> FigureTable:
    """Read class folders, images in folders further inside included.

    Nothing says which slide an image comes from: every image counts as a slide of its own, which
    audit and description say aloud, for folds cannot keep a slide together then. Nor does
    anything give mpp: it is NaN unless the caller states it. Images beside the class folders and
    in other folders are left out; their number is logged.

    Raises:
        TableError: no folder for either class, or no image in them.
    """
    classed = _find_class_folders(folder)
    pairs = [
        (f"{inner.name}/{name}", label)
        for inner, label in classed.items()
        for name in sorted(list_images(inner))
    ]
    beside = count_images(folder, classed)
    if beside:
        count = sum(beside.values())
        where = ", ".join(
            f"{number:,} {'beside the folders' if name == '.' else f'in {name}'}"
            for name, number in beside.items()
        )
        _log.warning(
            "%s: %s left out, %s; only %s are read: move an image into the folder of its class",
            *(folder, format_count(count, "image"), where),
            " and ".join(f"{inner.name}/" for inner in classed),
        )
    if not pairs:
        raise TableError(
            f"{folder}: no image in normal/ or atypical/; expected files ending in "
            f"{', '.join(IMAGE_SUFFIXES)}"
        )
    images, labels = zip(*pairs, strict=True)
    return figures_from_frame(
        pd.DataFrame({"figure_id": images, "image": images, "label": labels}), folder
    )


def _find_class_folders(folder: Path) -> dict[Path, int]:
    """Return the folders right inside `folder` that have the name of a class, and the class."""
    inner = sorted(folder.iterdir()) if folder.is_dir() else []
    known = {path: _CLASSES.get(path.name.lower()) for path in inner if path.is_dir()}
    order = sorted((label, path) for path, label in known.items() if label is not None)
    return {path: label for label, path in order}


LAYOUT = Layout(
    key="class-folders",
    title="class folders: normal/ and atypical/, or NMF/ and AMF/ (any case)",
    table=None,
    recognises=recognises,
    read=read,
)
