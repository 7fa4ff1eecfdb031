"""Which pages of a TIFF are figures, and what a page is that Pillow cannot read."""

from __future__ import annotations

import logging
import struct
from contextlib import suppress
from itertools import pairwise
from typing import IO

import numpy as np
from PIL import Image

from atypia.data.codecs import DAMAGE, silence_warnings
from atypia.data.ome import parse_ome

# Tags of a TIFF.
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _DESCRIPTION = 254, 255, 270
# Compressions that every Pillow reads: none, LZW, JPEG, Deflate, PackBits.
_COMMON_COMPRESSIONS = (1, 5, 7, 8, 32773, 32946)

Planes = tuple[int, ...]
Size = tuple[int, int]


def find_figures(image: Image.Image) -> list[tuple[Planes, Size]]:
    """Return for each figure in a TIFF its pages (from 0; three where colours lie apart), its size.

    A page whose header is damaged counts: reading it says so.
    """
    pages: list[tuple[int, Size, bool]] = []
    description = read_description(image)
    with silence_warnings():
        while True:
            page = len(pages)
            try:
                image.seek(page)
                pages.append((page, image.size, _is_whole(image)))
            except EOFError:
                break
            except DAMAGE:
                pages.append((page, (0, 0), True))
                if image.tell() < page:  # where Pillow cannot place a page, its list of pages ends
                    break
    if description.startswith("Aperio"):  # levels and thumbnail follow the slide, not marked
        pages = pages[:1]
    planes = next((ome.planes for ome in parse_ome(description) if ome.planes), ())
    if planes and max(planes) < len(pages) and len({pages[page][1] for page in planes}) == 1:
        return [(planes, pages[planes[0]][1])]
    marked = any(whole for *_, whole in pages)
    return [((page,), size) for page, size, whole in pages if whole or not marked]


def read_description(image: Image.Image) -> str:
    """Return the ImageDescription of a TIFF's page; Pillow takes its UTF-8 for Latin-1."""
    try:
        with silence_warnings():
            text = image.tag_v2.get(_DESCRIPTION, "")  # type: ignore[attr-defined]  # TIFFs have it
        return str(text).encode("latin-1", "replace").decode("utf-8", "replace")
    except DAMAGE:
        return ""


def _is_whole(image: Image.Image) -> bool:
    """Whether a TIFF's page is marked neither as reduced (bit 0) nor as a mask (bit 2)."""
    tags = image.tag_v2  # type: ignore[attr-defined]  # TIFFs have it
    return not int(tags.get(_NEW_SUBFILE_TYPE, 0)) & 0b101 and tags.get(_SUBFILE_TYPE) != 2


def doubt_figures(image: Image.Image, sizes: list[Size]) -> str:
    """Say why several pages seem to be no figures of their own; "" where nothing speaks against it.

    Args:
        image: a TIFF.
        sizes: of the pages that `find_figures` takes for figures.
    """
    with silence_warnings(), suppress(*DAMAGE):
        image.seek(0)
    faults = [ome.planes_fault for ome in parse_ome(read_description(image)) if ome.planes_fault]
    if faults:
        return f"its colours lie in planes of their own ({faults[0]}); save it as 8-bit RGB"
    if len(sizes) == 3 and len(set(sizes)) == 1 and image.mode == "L":
        return (
            "holds 3 grey images, expected one in colour; if they are its red, green and blue, "
            "save it as RGB (in ImageJ: Image > Type > RGB Color)"
        )
    if len(sizes) > 1 and _halve(sizes):
        return (
            f"holds {len(sizes)} images of {format_sizes(sizes)} px, each half the one before, "
            "which seem to be one image; save the largest alone"
        )
    return ""


def format_sizes(sizes: list[Size]) -> str:
    """Return "64 x 64 and 32 x 32"."""
    return " and ".join(f"{wide} x {high}" for wide, high in dict.fromkeys(sizes))


def _halve(sizes: list[Size]) -> bool:
    """Whether each size is half the one before, to a pixel."""
    return all(
        abs(2 * small - large) <= 2
        for first, second in pairwise(sizes)
        for large, small in zip(first, second, strict=True)
    )


def describe_odd_page(handle: IO[bytes], page: int) -> str:
    """Say what a TIFF's page is that Pillow cannot read; "" where it seems to be damaged."""
    import tifffile

    # It logs what it then raises: without a handler that goes to the user's screen.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    try:
        handle.seek(0)
        with tifffile.TiffFile(handle, _multifile=False) as file, np.errstate(all="ignore"):
            odd = file.pages[page].aspage()
            bits, kind, grey = odd.bitspersample, odd.dtype, odd.photometric in (0, 1)
            known = {"f": "floating point", "i": "signed"}
            how = [known[kind.kind]] if kind is not None and kind.kind in known else []
            how += ["grey"] if grey else []
            depth = f"{odd.samplesperpixel} x {bits} bits" + (f" ({', '.join(how)})" if how else "")
            compression = int(odd.compression)
    except (*DAMAGE, AssertionError, RuntimeError, struct.error):
        return ""
    if compression not in _COMMON_COMPRESSIONS:
        named = {int(code): code.name for code in tifffile.COMPRESSION}
        by = named.get(compression, f"method {compression}")
        return f"is a TIFF compressed by {by}, which cannot be read here; save it uncompressed"
    if kind == np.uint8 and bits == 8 and not grey:
        return ""
    return f"has pixels of {depth}, expected 8-bit RGB; save it as 8-bit RGB"
