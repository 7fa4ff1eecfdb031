"""Slides in plain TIFF and OME-TIFF, through tifffile and zarr."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import zarr

from atypia.data.ome import parse_ome
from atypia.data.slides.slide import Pixels
from atypia.data.slides.tiff_resolution import pixel_um
from atypia.errors import ImageError, describe_fault

# It logs what it then raises; without a handler the log goes to the user's screen.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF's
# What is decoded at once, a strip or a tile, must not be larger: each thread holds one.
_MOST_AT_ONCE = 2**28
_JPEG = (7, 33007)
_BLACK_IS_0 = 1
_MASK = 4  # a bit of NewSubfileType
_KINDS = {0: "grey", 1: "grey", 2: "RGB", 3: "a palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
# Errors that tifffile and the codecs raise on a damaged file.
_DAMAGE = (
    *(OSError, ValueError, RuntimeError, LookupError, TypeError, ArithmeticError, EOFError),
    *(AssertionError, MemoryError, struct.error),
)

_Values = npt.NDArray[np.uint8] | zarr.Array[Any]
# One page that holds all colours; or three, that hold red, green and blue.
_Level = tuple[Any, ...]


def is_tiff(path: Path) -> bool:
    """Tell whether a file begins like a TIFF or BigTIFF."""
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


class TiffHandle:
    """An open TIFF of 8-bit RGB; attributes as in `Handle`.

    Level 0 is its largest image. Further levels are those below it (SubIFDs) and those that say
    that they are the same made smaller (NewSubfileType 1), if they have its shape. Where OME
    metadata says that red, green and blue lie in pages of their own, these three are one image.
    Only the strips or tiles under a window are decoded; what is not compressed is not even read
    beyond it.
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
            raise ImageError(_damage_message(path, fault)) from fault
        try:
            with np.errstate(all="ignore"):
                levels = _find_levels(path, list(file.pages), file.ome_metadata)
            self._levels = [[_open_pixels(page) for page in level] for level in levels]
            self.level_px = tuple(_size(level[0]) for level in levels)
            self.level_scales = tuple(_scale(levels[0][0], level[0]) for level in levels)
            self.bounds_px = (0, 0, *self.level_px[0])
            self.mpp_xy = pixel_um(file, levels[0][0])
        except _DAMAGE as fault:
            file.close()
            raise ImageError(_damage_message(path, fault)) from fault
        except ImageError:
            file.close()
            raise
        self._file = file

    def read_region(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> Pixels:
        """Read pixels of one level, uint8 (height, width, 3 or 4); see `Handle`."""
        left, top = (round(at / self.level_scales[level]) for at in place)
        window = (slice(top, top + size[1]), slice(left, left + size[0]))
        try:
            colours = [_cut(values, window) for values in self._levels[level]]
            return colours[0] if len(colours) == 1 else np.dstack(colours)
        except _DAMAGE as fault:
            raise OSError(describe_fault(fault)) from fault

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _find_levels(path: Path, all_pages: list[Any], ome: str | None) -> list[_Level]:
    """Return the pages of a slide, finest first.

    Args:
        path: of the file.
        all_pages: every page of it.
        ome: its OME metadata, if it has any.

    Raises:
        ImageError: there is no such page, or not just one.
    """
    pages = [page for page in all_pages if _area(page) and not page.subfiletype & _MASK]
    if not pages:
        raise ImageError(f"{path}: holds no image; copy it again")
    largest = max(pages, key=_area)
    equal = [page for page in pages if _size(page) == _size(largest) and not page.is_reduced]
    colours = _find_colours(path, largest, all_pages, ome)
    unfit = next((fault for fault in map(_explainer_for(colours), colours) if fault), None)
    if unfit is not None and len(equal) == 3 and all(map(_is_grey, equal)):
        unfit = (
            "holds 3 grey images, expected one in colour; if they are its red, green and blue, "
            "save it as RGB (in ImageJ: Image > Type > RGB Color)"
        )
    if unfit is not None:
        raise ImageError(f"{path}: {unfit}")
    if len(equal) > len(colours):
        wide, high = _size(largest)
        raise ImageError(
            f"{path}: holds {len(equal)} images of {wide} x {high} px, expected one slide; save "
            "the one wanted alone"
        )
    smaller = _list_smaller(colours, pages)
    levels = [colours, *(level for level in smaller if _is_level(level, largest))]
    levels.sort(key=lambda level: _area(level[0]), reverse=True)
    size = largest.parent.filehandle.size
    for page in chain.from_iterable(levels):
        end = max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=True)), default=0)
        if end > size:
            raise ImageError(
                f"{path}: is cut off, its pixels reach to byte {end} and it ends at {size}; copy "
                "it again"
            )
    return levels


def _find_colours(path: Path, largest: Any, pages: list[Any], ome: str | None) -> _Level:
    """Return the pages that hold the colours of the largest image: it alone, or three.

    Raises:
        ImageError: OME metadata says that they lie in three, but not what they are.
    """
    images = [image for image in parse_ome(ome) if image.size_px == _size(largest)]
    faults = [image.planes_fault for image in images if image.planes_fault]
    planes = next((image.planes for image in images if image.planes), ())
    if planes and not all(n < len(pages) and _size(pages[n]) == _size(largest) for n in planes):
        faults.append("they are not in this file")
    if faults:
        raise ImageError(
            f"{path}: its colours lie in planes of their own ({faults[0]}); convert it with its "
            "colours together (raw2ometiff --rgb), or save it as 8-bit RGB"
        )
    return tuple(pages[n] for n in planes) or (largest,)


def _list_smaller(colours: _Level, pages: list[Any]) -> Iterator[_Level]:
    """Yield what could be further levels."""
    yield from zip(*((page.pages or ()) if page.subifds else () for page in colours), strict=False)
    if len(colours) == 1:
        yield from ((page,) for page in pages if page.is_reduced)


def _is_level(level: _Level, largest: Any) -> bool:
    """Tell whether pages can be a slide made smaller: sides are rounded to a pixel."""
    if any(map(_explainer_for(level), level)) or not 0 < _area(level[0]) < _area(largest):
        return False
    scale = _scale(largest, level[0])
    return len(set(map(_size, level))) == 1 and all(
        abs(whole / scale - part) <= 1
        for whole, part in zip(_size(largest), _size(level[0]), strict=True)
    )


def _explainer_for(level: _Level) -> Callable[[Any], str | None]:
    """Return what says why a page of a level cannot be used."""
    return _explain_unfit if len(level) == 1 else _explain_unfit_plane


def _is_grey(page: Any) -> bool:
    return _KINDS.get(page.photometric) == "grey" and page.samplesperpixel == 1


def _explain_unfit(page: Any) -> str | None:
    """Return why a page's pixels cannot be used, or none."""
    samples = page.samplesperpixel
    alpha = samples == 4 and tuple(page.extrasamples)[:1] in ((1,), (2,))
    kind = _KINDS.get(page.photometric)
    colour = kind == "RGB" or (kind == "YCbCr" and page.compression in _JPEG)
    if not _is_8_bit(page) or not colour or not (samples == 3 or alpha):
        return (
            f"{_describe(page)}, expected RGB, 3 x 8 bits (and alpha, if any); save it as 8-bit RGB"
        )
    return _explain_unreadable(page)


def _explain_unfit_plane(page: Any) -> str | None:
    """Return why the pixels of a page that holds one colour cannot be used, or none."""
    if not _is_8_bit(page) or page.photometric != _BLACK_IS_0 or page.samplesperpixel != 1:
        return (
            f"its colours lie in planes of their own, and {_describe(page)}, expected 8 bits "
            "each; save it as 8-bit RGB"
        )
    return _explain_unreadable(page)


def _is_8_bit(page: Any) -> bool:
    return bool(page.dtype == np.uint8 and page.bitspersample == 8)


def _describe(page: Any) -> str:
    kind = _KINDS.get(page.photometric, "of an unknown kind")
    return f"its pixels are {kind}, {page.samplesperpixel} x {page.bitspersample} bits"


def _explain_unreadable(page: Any) -> str | None:
    """Return why a page cannot be read part by part, or none."""
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


def _open_pixels(page: Any) -> _Values:
    """Return pixels that are read where they are asked for; what was never scanned is white.

    Raises:
        ValueError: they have not the shape that the page says.
    """
    values: _Values
    if page.is_memmappable:
        values = page.asarray(out="memmap").reshape(page.shape)
    else:
        values = zarr.open_array(page.aszarr(fillvalue=255), mode="r")
    (wide, high), samples = _size(page), page.samplesperpixel
    if values.shape not in ((high, wide), (high, wide, samples), (samples, high, wide)):
        raise ValueError(f"its pixels have the shape {values.shape}")
    return values


def _cut(values: _Values, window: tuple[slice, slice]) -> Pixels:
    """Return a part of a page's pixels, with the colours last; read as many as are asked for."""
    if values.ndim == 3 and values.shape[-1] not in (3, 4):  # the colours lie apart, and first
        return np.moveaxis(np.asarray(values[(slice(None), *window)]), 0, -1)
    return np.asarray(values[window])


def _size(page: Any) -> tuple[int, int]:
    return (page.imagewidth, page.imagelength)


def _area(page: Any) -> int:
    return int(page.imagewidth * page.imagelength)


def _scale(largest: Any, page: Any) -> float:
    """Return how many px of the largest page lie along one px of another, as OpenSlide has it."""
    (wide, high), (width, height) = _size(largest), _size(page)
    return (wide / width + high / height) / 2


def _damage_message(path: Path, fault: BaseException) -> str:
    return f"{path}: cannot be opened ({describe_fault(fault)}); copy it again"
