"""Slides in plain TIFF and OME-TIFF, through tifffile and zarr."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import zarr

from atypia.data.slides.slide import Pixels, short
from atypia.data.slides.tiff_resolution import pixel_um
from atypia.errors import ImageError

# It logs what it then raises: without a handler that goes to the user's screen.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF's
# What is decoded at once, a strip or a tile, must not be larger: each thread holds one.
_MOST_AT_ONCE = 2**28
_JPEG = (7, 33007)
_KINDS = {0: "grey", 1: "grey", 2: "RGB", 3: "a palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
# What tifffile and the codecs raise on a file that is damaged, not on a mistake of ours.
_DAMAGE = (
    *(OSError, ValueError, RuntimeError, LookupError, TypeError, ArithmeticError, EOFError),
    *(AssertionError, MemoryError, struct.error),
)

_Values = npt.NDArray[np.uint8] | zarr.Array[Any]


def is_tiff(path: Path) -> bool:
    """Tell whether a file begins like a TIFF or BigTIFF."""
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


class TiffHandle:
    """An open TIFF of 8-bit RGB; attributes as in `Handle`.

    Level 0 is its largest image. Further levels are those below it (SubIFDs) and those that say
    that they are the same made smaller (NewSubfileType 1), if they have its shape. Only the strips
    or tiles under a window are decoded; what is not compressed is not even read beyond it.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            ImageError: it is damaged or cut off, holds several slides, or its pixels are no 8-bit
                RGB (a fourth sample must be alpha).
        """
        try:
            with np.errstate(all="ignore"):
                file = tifffile.TiffFile(path)
        except _DAMAGE as fault:
            raise ImageError(_damaged(path, fault)) from fault
        try:
            with np.errstate(all="ignore"):
                pages = _levels(path, list(file.pages))
            self._levels = [_pixels_of(page) for page in pages]
            self.level_px = tuple(map(_size, pages))
            self.level_scales = tuple(_scale(pages[0], page) for page in pages)
            self.bounds_px = (0, 0, *self.level_px[0])
            self.mpp_xy = pixel_um(file, pages[0])
        except _DAMAGE as fault:
            file.close()
            raise ImageError(_damaged(path, fault)) from fault
        except ImageError:
            file.close()
            raise
        self._file = file

    def read_region(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> Pixels:
        """Read pixels of one level, uint8 (height, width, 3 or 4); see `Handle`."""
        left, top = (round(at / self.level_scales[level]) for at in place)
        window = (slice(top, top + size[1]), slice(left, left + size[0]))
        values, planar = self._levels[level]
        try:
            if planar:
                return np.moveaxis(np.asarray(values[(slice(None), *window)]), 0, -1)
            return np.asarray(values[window])
        except _DAMAGE as fault:
            raise OSError(short(fault) or type(fault).__name__) from fault

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _levels(path: Path, pages: list[Any]) -> list[Any]:
    """Return the pages of a slide, finest first.

    Raises:
        ImageError: there is no such page, or not just one.
    """
    pages = [page for page in pages if _area(page)]
    if not pages:
        raise ImageError(f"{path}: holds no image; copy it again")
    largest = max(pages, key=_area)
    equal = [page for page in pages if _size(page) == _size(largest) and not page.is_reduced]
    unfit = _unfit(largest)
    if unfit is not None:
        raise ImageError(f"{path}: {unfit}")
    if len(equal) > 1:
        wide, high = _size(largest)
        raise ImageError(
            f"{path}: holds {len(equal)} images of {wide} x {high} px, expected one slide; save "
            "the one wanted alone"
        )
    smaller = [page for page in _smaller(largest, pages) if _is_level(page, largest)]
    levels = sorted([largest, *smaller], key=_area, reverse=True)
    size = largest.parent.filehandle.size
    for page in levels:
        end = max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=True)), default=0)
        if end > size:
            raise ImageError(
                f"{path}: is cut off, its pixels reach to byte {end} and it ends at {size}; copy "
                "it again"
            )
    return levels


def _smaller(largest: Any, pages: list[Any]) -> Iterator[Any]:
    """Yield the pages that could be further levels."""
    yield from (largest.pages or ()) if largest.subifds else ()
    yield from (page for page in pages if page.is_reduced)


def _is_level(page: Any, largest: Any) -> bool:
    """Tell whether a page can be a slide made smaller: sides are rounded to a pixel."""
    if _unfit(page) is not None or not 0 < _area(page) < _area(largest):
        return False
    scale = _scale(largest, page)
    return all(
        abs(whole / scale - part) <= 1
        for whole, part in zip(_size(largest), _size(page), strict=True)
    )


def _unfit(page: Any) -> str | None:
    """Return why a page's pixels cannot be used, or none."""
    kind = _KINDS.get(page.photometric, "of an unknown kind")
    samples = page.samplesperpixel
    alpha = samples == 4 and tuple(page.extrasamples)[:1] in ((1,), (2,))
    colour = kind == "RGB" or (kind == "YCbCr" and page.compression in _JPEG)
    if (
        page.dtype != np.uint8
        or page.bitspersample != 8
        or not colour
        or not (samples == 3 or alpha)
    ):
        return (
            f"its pixels are {kind}, {samples} x {page.bitspersample} bits, expected RGB, 3 x 8 "
            "bits (and alpha, if any); save it as 8-bit RGB"
        )
    if page.imagedepth != 1:
        return f"holds {page.imagedepth} planes, expected one; save the one wanted alone"
    at_once = int(np.prod(page.chunks, dtype=np.int64))
    if not page.is_memmappable and at_once > _MOST_AT_ONCE:
        part = "tile" if page.is_tiled else "strip"
        return (
            f"each {part} has {at_once:,} bytes, too many to decode for one window (at most "
            f"{_MOST_AT_ONCE:,}); save it in tiles of 512 px"
        )
    return None


def _pixels_of(page: Any) -> tuple[_Values, bool]:
    """Return pixels that are read where they are asked for, and whether the colours lie apart.

    What was never scanned is white.
    """
    values: _Values
    if page.is_memmappable:
        values = page.asarray(out="memmap").reshape(page.shape)
    else:
        values = zarr.open_array(page.aszarr(fillvalue=255), mode="r")
    (wide, high), samples = _size(page), page.samplesperpixel
    if values.shape not in ((high, wide, samples), (samples, high, wide)):
        raise ValueError(f"its pixels have the shape {values.shape}")
    return values, values.shape[0] == samples


def _size(page: Any) -> tuple[int, int]:
    return (page.imagewidth, page.imagelength)


def _area(page: Any) -> int:
    return int(page.imagewidth * page.imagelength)


def _scale(largest: Any, page: Any) -> float:
    """Return how many px of the largest page lie along one px of another, as OpenSlide has it."""
    (wide, high), (width, height) = _size(largest), _size(page)
    return (wide / width + high / height) / 2


def _damaged(path: Path, fault: object) -> str:
    return f"{path}: cannot be opened ({short(fault) or type(fault).__name__}); copy it again"
