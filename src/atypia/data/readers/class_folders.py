"""Class folders: `normal/` and `atypical/` (in any case), with one image a figure."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from atypia.data.images import IMAGE_SUFFIXES
from atypia.data.readers.layout import Layout, subfolder
from atypia.data.table import FigureTable, from_frame
from atypia.errors import TableError

_CLASSES = {"normal": 0, "atypical": 1}


def recognises(folder: Path) -> bool:
    """Tell whether `folder` has a folder for at least one class."""
    return any(subfolder(folder, name) for name in _CLASSES)


def read(folder: Path) -> FigureTable:
    """Read class folders, images in folders further inside included.

    Nothing says which slide an image comes from: every image counts as a slide of its own, which
    audit and description say aloud, for folds cannot keep a slide together then. Nor does
    anything give mpp: it is NaN unless the caller states it.

    Raises:
        TableError: no folder for either class, or no image in them.
    """
    found = []
    for name, label in _CLASSES.items():
        classed = subfolder(folder, name)
        for path in sorted(classed.rglob("*")) if classed else ():
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.suffix.lower() in IMAGE_SUFFIXES and not hidden and not path.is_dir():
                found.append((path.relative_to(folder).as_posix(), label))
    if not found:
        raise TableError(
            f"{folder}: no image in normal/ or atypical/; expected files ending in "
            f"{', '.join(IMAGE_SUFFIXES)}"
        )
    images, labels = zip(*found, strict=True)
    return from_frame(pd.DataFrame({"figure_id": images, "image": images, "label": labels}), folder)


LAYOUT = Layout(
    key="class-folders",
    title="class folders: normal/ and atypical/ (any case)",
    table=None,
    recognises=recognises,
    read=read,
)
