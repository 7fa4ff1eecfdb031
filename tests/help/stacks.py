"""The input of MIDOG 2025, track 2, as a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile

from atypia.challenges.midog25.stack import STACK_SLUG


def write_stack(folder: Path, pages: Iterable[np.ndarray]) -> Path:
    """Write pages, RGB or greyscale, as the platform does; return the folder."""
    images = folder / "images" / STACK_SLUG
    images.mkdir(parents=True)
    (folder / "inputs.json").write_text(json.dumps([{"interface": {"slug": STACK_SLUG}}]))
    with tifffile.TiffWriter(images / "stack.tif") as file:
        for page in pages:
            file.write(page, photometric="rgb" if page.ndim == 3 else "minisblack")
    return folder
