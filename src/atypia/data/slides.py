"""Slides: windows around points, read at the resolution that a classifier wants, by OpenSlide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import openslide

from atypia.data.columns import MPP_HIGH, MPP_LOW
from atypia.errors import ImageError

Pixels = npt.NDArray[np.uint8]
# Where (0, 0) of a point lies: QuPath counts from the bounds that the scanner found tissue in.
Origin = Literal["bounds", "slide"]

# A level counts as fine enough if its pixels are at most this much larger than wanted.
_NEARLY = 1.01
# Pixels of which width and height differ by more than this are not what we are made for.
_SQUARE = 0.02


@dataclass(frozen=True)
class Slide:
    """An open slide; it may be read from several threads.

    Attributes:
        path: of the file.
        mpp: um/px of level 0.
        mpp_source: "slide" (its metadata) or "given".
        size_px: width and height of level 0.
        origin_px: where x = 0, y = 0 of a point lies in level 0.
        level_mpp: um/px of each level, finest first.
        level_px: width and height of each level.
    """

    path: Path
    mpp: float
    mpp_source: Literal["slide", "given"]
    size_px: tuple[int, int]
    origin_px: tuple[int, int]
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
        bounds = tuple(
            int(handle.properties.get(f"openslide.bounds-{axis}", 0)) if origin == "bounds" else 0
            for axis in ("x", "y")
        )
    except ImageError:
        handle.close()
        raise
    return Slide(
        path,
        own,
        "slide" if mpp is None else "given",
        handle.dimensions,
        (bounds[0], bounds[1]),
        tuple(own * scale for scale in handle.level_downsamples),
        tuple(handle.level_dimensions),
        handle,
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
