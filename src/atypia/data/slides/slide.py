"""A slide, independent of the library that reads its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from atypia.errors import ImageError, describe_fault

Pixels = npt.NDArray[np.uint8]
# Origin of points: QuPath counts from the bounds in which the scanner found tissue.
Origin = Literal["bounds", "slide"]

# A level counts as fine enough if its pixels are at most this much larger than wanted.
_NEARLY = 1.01
# An overview reads a whole level: this many pixels take 10 to 20 s.
_MOST_OVERVIEW_PX = 400_000_000
# It reads bands of about this many pixels, which bounds its memory.
_BAND_PX = 8_000_000


class Handle(Protocol):
    """An open file, one class for each library that reads files. Threads may share it.

    Attributes:
        level_px: width and height of each level, finest first.
        level_scales: how many px of level 0 lie along one px of each level.
        bounds_px: x, y, width and height of what the scanner found tissue in, px of level 0.
        mpp_xy: um/px of level 0 in x and y as the file says it, not checked; none if it does not.
    """

    level_px: tuple[tuple[int, int], ...]
    level_scales: tuple[float, ...]
    bounds_px: tuple[int, int, int, int]
    mpp_xy: tuple[float, float] | None

    def read_region(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> Pixels:
        """Read pixels of one level.

        Args:
            place: x and y of the corner, px of level 0.
            level: to read from.
            size: width and height, px of that level; all of it lies on the slide.

        Returns:
            uint8 (height, width, 3), or 4 where the last says which pixels there are (not 0).

        Raises:
            OSError: it cannot be read there; other places may.
        """

    def close(self) -> None:
        """Close the file."""


@dataclass(frozen=True)
class Slide:
    """An open slide; it may be read from several threads.

    Attributes:
        path: of the file, or of the folder with a DICOM slide's files.
        mpp: um/px of level 0.
        mpp_source: "slide" (its metadata) or "given".
        size_px: width and height of level 0.
        origin_px: where x = 0, y = 0 of a point lies in level 0.
        extent_px: width and height, from there, of what points count in: the bounds, or the slide.
        level_mpp: um/px of each level, finest first.
        level_px: width and height of each level.
    """

    path: Path
    mpp: float
    mpp_source: Literal["slide", "given"]
    size_px: tuple[int, int]
    origin_px: tuple[int, int]
    extent_px: tuple[int, int]
    level_mpp: tuple[float, ...]
    level_px: tuple[tuple[int, int], ...]
    _handle: Handle

    @property
    def reach_px(self) -> tuple[int, int]:
        """Width and height of the slide from the origin on: the most that x and y can be.

        It is more than the extent where the bounds end before the slide does.
        """
        (wide, high), (left, top) = self.size_px, self.origin_px
        return (wide - left, high - top)

    def level_for(self, mpp: float) -> int:
        """Return the coarsest level that is at least as fine as `mpp`, um/px; else the finest."""
        fine = [n for n, each in enumerate(self.level_mpp) if each <= mpp * _NEARLY]
        return fine[-1] if fine else 0

    def window(self, x: float, y: float, *, side_um: float, level: int) -> Pixels:
        """Read a square window around a point.

        Beyond the slide's edge it is mirrored; where the scanner has left tissue out it is white.
        The point lies at its centre, to a quarter of a pixel of that level.

        Args:
            x: of the point, px of level 0 from the origin.
            y: likewise.
            side_um: least side of the window, um.
            level: to read from.

        Returns:
            uint8 (H, W, 3), at `level_mpp[level]`; H and W are the least side, in px, or one more.

        Raises:
            ImageError: the point does not lie on the slide, or the slide cannot be read there.
        """
        at = (x + self.origin_px[0], y + self.origin_px[1])
        if not all(0 <= place <= size for place, size in zip(at, self.size_px, strict=True)):
            wide, high = self.reach_px
            raise ImageError(
                f"{self.path}: x {x:g}, y {y:g} does not lie on the slide of {wide} x {high} px; "
                "are these px of level 0, and of this slide?"
            )
        scale = self.level_mpp[level] / self.mpp
        least = int(np.ceil(side_um / self.level_mpp[level] - 1e-6))
        windows = [_centre_range(place / scale, least) for place in at]
        sizes = self.level_px[level]
        spans = [_covered_range(window, size) for window, size in zip(windows, sizes, strict=True)]
        try:
            pixels = self._read(level, *spans)
        except OSError as fault:
            raise ImageError(
                f"{self.path}: cannot be read at x {x:g}, y {y:g} ({describe_fault(fault)}); copy "
                "the slide again"
            ) from fault
        if spans == windows:  # nothing of it lies beyond the edge
            return pixels
        columns, rows = (
            _mirror(np.array(window), size) - span.start
            for window, size, span in zip(windows, sizes, spans, strict=True)
        )
        return pixels[np.ix_(rows, columns)]

    def overview(self, longest_px: int = 2000) -> tuple[Pixels, float]:
        """Read all of what points count in, small: from the coarsest level that is fine enough.

        Where that level is too large to be read as a whole, a coarser one is taken. Each pixel is
        the mean of those it covers; the first begins at x = 0, y = 0. Where the scanner has left
        tissue out it is white.

        Args:
            longest_px: of width and height, at most; a slide that is smaller keeps its size.

        Returns:
            uint8 (H, W, 3), and its um/px.

        Raises:
            ImageError: no level is small enough to be read as a whole, or the slide cannot be read.
        """
        level = self.level_for(max(self.extent_px) * self.mpp / longest_px)
        while self._area(level) > _MOST_OVERVIEW_PX:
            level += 1
            if level == len(self.level_px):
                raise ImageError(
                    f"{self.path}: has no level small enough for an overview (its coarsest has "
                    f"{self._area(level - 1) / 1e6:,.0f} million px, at most "
                    f"{_MOST_OVERVIEW_PX / 1e6:,.0f} are read); save it as a pyramid"
                )
        scale = self.level_mpp[level] / self.mpp
        first = [off / scale for off in self.origin_px]
        spans = [size / scale for size in self.extent_px]
        shrink = max(1.0, max(spans) / longest_px)
        wide, high = (max(1, int(span / shrink + 1e-6)) for span in spans)
        rows = max(1, int(_BAND_PX / (spans[0] * shrink)))
        whole = np.empty((high, wide, 3), dtype=np.uint8)
        for top in range(0, high, rows):
            below = min(top + rows, high)
            box = (first[0], first[0] + wide * shrink)
            band = (first[1] + top * shrink, first[1] + below * shrink)
            whole[top:below] = self._read_reduced(level, box, band, (wide, below - top))
        return whole, self.level_mpp[level] * shrink

    def _area(self, level: int) -> float:
        """Return how many px of a level an overview is made of."""
        scale = self.level_mpp[level] / self.mpp
        return self.extent_px[0] * self.extent_px[1] / scale**2

    def _read_reduced(
        self,
        level: int,
        columns: tuple[float, float],
        rows: tuple[float, float],
        size_px: tuple[int, int],
    ) -> Pixels:
        """Read a part of a level (from, to, in its px) and return it at a smaller size."""
        edges = zip((columns, rows), self.level_px[level], strict=True)
        spans = [range(int(low), min(size, int(np.ceil(high)))) for (low, high), size in edges]
        try:
            pixels = self._read(level, *spans)
        except OSError as fault:
            raise ImageError(
                f"{self.path}: cannot be read as a whole ({describe_fault(fault)}); copy the "
                "slide again"
            ) from fault
        left, upper = spans[0].start, spans[1].start
        box = (
            columns[0] - left,
            rows[0] - upper,
            min(columns[1] - left, len(spans[0])),
            min(rows[1] - upper, len(spans[1])),
        )
        part = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(part.resize(size_px, Image.Resampling.BOX, box))

    def _read(self, level: int, columns: range, rows: range) -> Pixels:
        """Read a part of a level, uint8 (rows, columns, 3); what was left out is white.

        Raises:
            OSError: it cannot be read there.
        """
        scale = self.level_mpp[level] / self.mpp
        place = (round(columns.start * scale), round(rows.start * scale))
        pixels = self._handle.read_region(place, level, (len(columns), len(rows)))
        if pixels.shape[-1] == 3:
            return pixels
        absent = pixels[..., 3] == 0
        pixels = pixels[..., :3]
        if absent.any():
            pixels = np.where(absent[..., None], np.uint8(255), pixels)
        return pixels

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


def _mirror(places: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Return where each place lies when what is beyond 0 and `size` - 1 is mirrored there."""
    turn = max(1, 2 * (size - 1))
    folded: npt.NDArray[np.int64] = places % turn
    return np.minimum(folded, turn - folded)


def _centre_range(place: float, least: int) -> range:
    """Return at least `least` pixels around a place, one more if that centres them better."""
    windows = [
        range(first, first + side)
        for side in (least, least + 1)
        for first in (round(place - side / 2),)
    ]
    return min(windows, key=lambda window: abs(window.start + len(window) / 2 - place))


def _covered_range(window: range, size: int) -> range:
    """Return the pixels of a level that a window is made of."""
    if window.start >= 0 and window.stop <= size:
        return window
    places = _mirror(np.array(window), size)
    return range(int(places.min()), int(places.max()) + 1)
