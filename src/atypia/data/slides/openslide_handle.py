"""Slides of scanners, through OpenSlide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide

from atypia.data.slides.slide import Pixels
from atypia.errors import ImageError, describe_fault


def scanner_format(path: Path) -> str | None:
    """Return OpenSlide's name of a scanner's format; none of a plain TIFF and of anything else."""
    name = openslide.OpenSlide.detect_format(path)
    return None if name == "generic-tiff" else name


class OpenSlideHandle:
    """An open slide; attributes as in `Handle`."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            ImageError: OpenSlide cannot.
        """
        self._path = path
        try:
            self._slide = openslide.OpenSlide(path)
        except (openslide.OpenSlideError, OSError) as fault:
            raise ImageError(
                f"{path}: cannot be opened ({describe_fault(fault)}); copy it again"
            ) from fault
        properties = self._slide.properties
        self.level_px = tuple(self._slide.level_dimensions)
        self.level_scales = tuple(self._slide.level_downsamples)
        wide, high = self._slide.dimensions
        x, y = (int(properties.get(f"openslide.bounds-{axis}", 0)) for axis in ("x", "y"))
        self.bounds_px = (
            x,
            y,
            min(int(properties.get("openslide.bounds-width", wide)), wide - x),
            min(int(properties.get("openslide.bounds-height", high)), high - y),
        )
        self.mpp_xy: tuple[float, float] | None
        try:
            self.mpp_xy = (
                float(properties["openslide.mpp-x"]),
                float(properties["openslide.mpp-y"]),
            )
        except (KeyError, ValueError):
            self.mpp_xy = None

    def read_region(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> Pixels:
        """Read pixels of one level, uint8 (height, width, 4); see `Handle`."""
        try:
            return np.asarray(self._slide.read_region(place, level, size))
        except openslide.OpenSlideError:
            return self._read_anew(place, level, size)

    def close(self) -> None:
        """Close the file."""
        self._slide.close()

    def _read_anew(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> Pixels:
        """Read with the file opened again: after one fault OpenSlide answers nothing but faults.

        That fault may have been another thread's. The handle before is closed when no thread holds
        it any more.
        """
        try:
            anew = openslide.OpenSlide(self._path)
            pixels = np.asarray(anew.read_region(place, level, size))
        except openslide.OpenSlideError as fault:
            raise OSError(describe_fault(fault)) from fault
        self._slide = anew
        return pixels
