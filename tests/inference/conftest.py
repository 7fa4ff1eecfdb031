"""Fixtures for figures to classify and for pictures of slides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from atypia.inference.sources import Figure

WriteSlide = Callable[..., Path]


@pytest.fixture(scope="session")
def paths(crop_folder: Path) -> list[Path]:
    """The crops' files in the order of their numbers."""
    return sorted(crop_folder.iterdir(), key=lambda path: int(path.stem))


@pytest.fixture(scope="session")
def make_figure() -> Callable[..., Figure]:
    """Make the figure of an image file."""

    def make(path: Path, mpp: float | None = 0.25) -> Figure:
        return Figure(path.stem, str(path), mpp, "given", lambda: np.asarray(Image.open(path)))

    return make


@pytest.fixture
def write_slide(tmp_path: Path) -> WriteSlide:
    """Write a slide of any pixels, with as many levels as asked for, each half of the last."""

    def write(level0: np.ndarray, *, mpp: float = 0.25, levels: int = 2) -> Path:
        path = tmp_path / "case 7.tif"
        level = level0
        with tifffile.TiffWriter(path) as file:
            for number in range(levels):
                per_cm = 1e4 / (mpp * 2**number)
                file.write(
                    level,
                    tile=(128, 128),
                    photometric="rgb",
                    subfiletype=int(number > 0),
                    resolution=(per_cm, per_cm),
                    resolutionunit="CENTIMETER",
                )
                high, wide = (side // 2 * 2 for side in level.shape[:2])
                quads = level[:high, :wide].reshape(high // 2, 2, wide // 2, 2, 3)
                level = quads.mean(axis=(1, 3)).round().astype(np.uint8)
        return path

    return write


@pytest.fixture
def predicted() -> Callable[[list[float]], pd.DataFrame]:
    """Make a predictions table: called at 0.5, referred from 0.4 to 0.6."""

    def make(p: list[float]) -> pd.DataFrame:
        values = np.asarray(p, dtype=np.float64)
        return pd.DataFrame(
            {
                "figure_id": [f"f{number}" for number in range(len(values))],
                "image": "",
                "p_atypical": values,
                "call": np.where(values > 0.5, "atypical", "normal"),
                "refer": (values >= 0.4) & (values <= 0.6),
                "spread": np.nan,
                "phase": "",
            }
        )

    return make
