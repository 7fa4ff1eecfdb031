"""Slides: windows around points, read at the resolution that a classifier wants, by OpenSlide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import openslide
from PIL import Image

from atypia.data.columns import MPP_HIGH, MPP_LOW
from atypia.errors import ImageError

Pixels = npt.NDArray[np.uint8]
# Where (0, 0) of a point lies: QuPath counts from the bounds that the scanner found tissue in.
Origin = Literal["bounds", "slide"]

# A level counts as fine enough if its pixels are at most this much larger than wanted.
_NEARLY = 1.01
# Pixels of which width and height differ by more than this are not what we are made for.
_SQUARE = 0.02
# An overview reads a whole level: so many pixels take 10 to 20 s.
_MOST_OVERVIEW_PX = 400_000_000
# It reads bands of about so many pixels, which is what it costs in memory.
_BAND_PX = 8_000_000


@dataclass(frozen=True)
class Slide:
    """An open slide; it may be read from several threads.

    Attributes:
        path: of the file.
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
    _handle: openslide.OpenSlide

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
            wide, high = (
                size - off for size, off in zip(self.size_px, self.origin_px, strict=True)
            )
            raise ImageError(
                f"{self.path}: x {x:g}, y {y:g} does not lie on the slide of {wide} x {high} px; "
                "are these px of level 0, and of this slide?"
            )
        scale = self.level_mpp[level] / self.mpp
        least = int(np.ceil(side_um / self.level_mpp[level] - 1e-6))
        windows = [_centred(place / scale, least) for place in at]
        sizes = self.level_px[level]
        spans = [_span(one, size) for one, size in zip(windows, sizes, strict=True)]
        try:
            region = self._handle.read_region(
                (round(spans[0].start * scale), round(spans[1].start * scale)),
                level,
                (len(spans[0]), len(spans[1])),
            )
        except openslide.OpenSlideError as fault:
            raise ImageError(
                f"{self.path}: cannot be read at x {x:g}, y {y:g} ({_short(fault)}); copy the "
                "slide again"
            ) from fault
        pixels = np.asarray(region)
        pixels = np.where(pixels[..., 3:] == 0, np.uint8(255), pixels[..., :3])
        columns, rows = (
            _mirrored(np.array(one), size) - span.start
            for one, size, span in zip(windows, sizes, spans, strict=True)
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
            whole[top:below] = self._reduced(level, box, band, (wide, below - top))
        return whole, self.level_mpp[level] * shrink

    def _area(self, level: int) -> float:
        """Return how many px of a level an overview is made of."""
        scale = self.level_mpp[level] / self.mpp
        return self.extent_px[0] * self.extent_px[1] / scale**2

    def _reduced(
        self,
        level: int,
        columns: tuple[float, float],
        rows: tuple[float, float],
        size_px: tuple[int, int],
    ) -> Pixels:
        """Read a part of a level (from, to, in its px) and return it at a smaller size."""
        edges = zip((columns, rows), self.level_px[level], strict=True)
        spans = [range(int(low), min(size, int(np.ceil(high)))) for (low, high), size in edges]
        scale = self.level_mpp[level] / self.mpp
        place = (round(spans[0].start * scale), round(spans[1].start * scale))
        try:
            region = self._handle.read_region(place, level, (len(spans[0]), len(spans[1])))
        except openslide.OpenSlideError as fault:
            raise ImageError(
                f"{self.path}: cannot be read as a whole ({_short(fault)}); copy the slide again"
            ) from fault
        given = np.asarray(region)
        pixels = np.ascontiguousarray(given[..., :3])
        pixels[given[..., 3] == 0] = 255
        left, upper = spans[0].start, spans[1].start
        box = (
            columns[0] - left,
            rows[0] - upper,
            min(columns[1] - left, len(spans[0])),
            min(rows[1] - upper, len(spans[1])),
        )
        return np.asarray(Image.fromarray(pixels).resize(size_px, Image.Resampling.BOX, box))

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


def open_slide(path: Path, *, mpp: float | None = None, origin: Origin = "bounds") -> Slide:
    """Open a slide.

    Args:
        path: of a file that OpenSlide reads.
        mpp: um/px of level 0, in 0.05 to 5; none takes it from the slide's metadata.
        origin: where points count from: the bounds that the scanner found tissue in, as QuPath
            does, or the corner of level 0.

    Raises:
        ImageError: it cannot be opened, or nobody says how large a pixel is.
    """
    try:
        handle = openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as fault:
        raise ImageError(
            f"{path}: is no slide that OpenSlide reads; give the slide file"
        ) from fault
    except (openslide.OpenSlideError, OSError) as fault:
        raise ImageError(f"{path}: cannot be opened ({_short(fault)}); copy it again") from fault
    try:
        own = _checked_mpp(path, mpp if mpp is not None else _metadata_mpp(path, handle), mpp)
        bounds = _bounds(handle) if origin == "bounds" else (0, 0, *handle.dimensions)
    except ImageError:
        handle.close()
        raise
    return Slide(
        path,
        own,
        "slide" if mpp is None else "given",
        handle.dimensions,
        bounds[:2],
        bounds[2:],
        tuple(own * scale for scale in handle.level_downsamples),
        tuple(handle.level_dimensions),
        handle,
    )


def _bounds(handle: openslide.OpenSlide) -> tuple[int, int, int, int]:
    """Return x, y, width and height of what the scanner found tissue in, px of level 0."""
    wide, high = handle.dimensions
    said = handle.properties
    x, y = (int(said.get(f"openslide.bounds-{axis}", 0)) for axis in ("x", "y"))
    return (
        x,
        y,
        min(int(said.get("openslide.bounds-width", wide)), wide - x),
        min(int(said.get("openslide.bounds-height", high)), high - y),
    )


def _metadata_mpp(path: Path, handle: openslide.OpenSlide) -> float:
    """Return um/px of level 0 as the slide says it."""
    said = [handle.properties.get(f"openslide.mpp-{axis}") for axis in ("x", "y")]
    try:
        wide, high = (float(one) for one in said if one is not None)
    except ValueError:
        raise ImageError(f"{path}: does not say how large a pixel is; give --mpp") from None
    if not abs(wide - high) <= _SQUARE * max(wide, high):
        raise ImageError(
            f"{path}: pixels of {wide:g} x {high:g} um are not square; give --mpp if that is wrong"
        )
    return (wide + high) / 2


def _checked_mpp(path: Path, mpp: float, given: float | None) -> float:
    if not MPP_LOW <= mpp <= MPP_HIGH:
        who = "--mpp" if given is not None else "the slide says that a pixel"
        raise ImageError(
            f"{path}: {who} is {mpp:g} um, expected {MPP_LOW:g} to {MPP_HIGH:g}; give the right "
            "--mpp (a 40x scan is about 0.25)"
        )
    return mpp


def _mirrored(places: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Return where each place lies when what is beyond 0 and `size` - 1 is mirrored there."""
    turn = max(1, 2 * (size - 1))
    folded: npt.NDArray[np.int64] = places % turn
    return np.minimum(folded, turn - folded)


def _centred(place: float, least: int) -> range:
    """Return at least `least` pixels around a place, one more if that centres them better."""
    windows = [
        range(first, first + side)
        for side in (least, least + 1)
        for first in (round(place - side / 2),)
    ]
    return min(windows, key=lambda one: abs(one.start + len(one) / 2 - place))


def _span(window: range, size: int) -> range:
    """Return the pixels of a level that a window is made of."""
    places = _mirrored(np.array(window), size)
    return range(int(places.min()), int(places.max()) + 1)


def _short(fault: object) -> str:
    return " ".join(str(fault).split())[:100]
