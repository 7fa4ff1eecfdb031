"""Images in: 8-bit RGB pixels, or one line that says what is wrong and what to do.

A crop's pixels are what the network sees, so nothing is converted that would lose or invent
colour. The header is judged before a pixel is decoded: a decompression bomb costs nothing.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from atypia.errors import ImageError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
"""Suffixes of the files that hold a crop, in lower case."""

MIN_SIDE_PX = 16
MAX_SIDE_PX = 4096

RGBImage = npt.NDArray[np.uint8]
"""A crop: uint8 (H, W, 3), red, green, blue."""

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
_GREY_MODES = ("1", "L", "LA", "La")
# What Pillow and its codecs raise on a file that is damaged, not on a mistake of ours.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError)

_warnings_lock = threading.Lock()


def read_image(path: Path) -> RGBImage:
    """Read one crop from a file.

    RGBA that is opaque everywhere and a palette of colours are converted, without loss. An EXIF
    orientation is applied, as every viewer does; colour profiles are not.

    Args:
        path: a PNG, JPEG, TIFF, BMP or WebP file with one image of 8-bit RGB.

    Returns:
        uint8 (H, W, 3), RGB; H and W from `MIN_SIDE_PX` to `MAX_SIDE_PX`.

    Raises:
        ImageError: the file is missing, empty, damaged, or not 8-bit RGB of such a size.
    """
    name = str(path)
    with _opened(path) as handle:
        return _decode(handle, name)


def decode_image(data: bytes, name: str) -> RGBImage:
    """Decode one crop from the bytes of a file: as `read_image`, `name` stands in messages."""
    if not data:
        raise ImageError(_empty(name))
    return _decode(io.BytesIO(data), name)


def read_pages(path: Path) -> Iterator[RGBImage | ImageError]:
    """Read the pages of a TIFF in order, one at a time; a bad page does not end the others.

    Args:
        path: a TIFF file of one or more pages.

    Returns:
        For each page its crop, uint8 (H, W, 3) as in `read_image`, or the `ImageError` that says
        why this page (counted from 1) cannot be used.

    Raises:
        ImageError: at once, when the file as a whole is missing, empty or not a TIFF.
    """
    with _opened(path) as handle:
        _header(handle, str(path), formats=("TIFF",)).close()
    return _pages(path)


def page_count(path: Path) -> int:
    """Return how many pages a TIFF has, from its headers.

    Raises:
        ImageError: the file as a whole is missing, empty, damaged or not a TIFF.
    """
    with _opened(path) as handle:
        image = _header(handle, str(path), formats=("TIFF",))
        try:
            with _quiet():
                return int(getattr(image, "n_frames", 1))
        except _DAMAGE as fault:
            raise ImageError(_damaged(str(path), fault)) from fault


def _pages(path: Path) -> Iterator[RGBImage | ImageError]:
    with _opened(path) as handle:
        image = _header(handle, str(path), formats=("TIFF",))
        page = 0
        while True:
            name = f"{path}, page {page + 1}"
            try:
                with _quiet():
                    image.seek(page)
            except EOFError:
                return
            except _DAMAGE as fault:
                yield ImageError(_damaged(name, fault))
                # A page that Pillow could not place is where its list of pages ends.
                if image.tell() < page:
                    return
            else:
                try:
                    yield _pixels(image, name)
                except ImageError as fault:
                    yield fault
            page += 1


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file that is not empty."""
    if path.is_dir():
        raise ImageError(f"{path}: is a folder, not an image; name a file inside it")
    if not path.exists():
        raise ImageError(f"{path}: no such file; check the path")
    if not path.is_file():
        raise ImageError(f"{path}: is not a regular file; give an image file")
    try:
        handle = path.open("rb")
    except OSError as fault:
        reason = fault.strerror or type(fault).__name__
        raise ImageError(f"{path}: cannot be read ({reason}); check its permissions") from fault
    with handle:
        if os.fstat(handle.fileno()).st_size == 0:
            raise ImageError(_empty(str(path)))
        yield handle


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's warnings (large image, odd metadata) off the user's screen.

    The filters are the whole process's, so one thread at a time may change them.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _decode(handle: IO[bytes], name: str) -> RGBImage:
    with _header(handle, name, formats=_FORMATS) as image:
        if getattr(image, "is_animated", False):
            raise ImageError(
                f"{name}: holds several images, expected one; "
                "predict on it as a multi-page TIFF or save each image as a file"
            )
        return _pixels(image, name)


def _header(handle: IO[bytes], name: str, formats: tuple[str, ...]) -> Image.Image:
    """Open an image and read its header; no pixel is decoded."""
    try:
        with _quiet():
            return Image.open(handle, formats=formats)
    except Image.DecompressionBombError as fault:
        raise ImageError(
            f"{name}: far too large for a crop (at most {MAX_SIDE_PX} px a side); "
            "cut crops around the figures"
        ) from fault
    except UnidentifiedImageError as fault:
        wanted = "TIFF" if formats == ("TIFF",) else "PNG, JPEG, TIFF, BMP or WebP"
        raise ImageError(
            f"{name}: not an image that can be read, or its beginning is damaged; "
            f"give a {wanted} file"
        ) from fault
    except _DAMAGE as fault:
        raise ImageError(_damaged(name, fault)) from fault


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE_PX or max(width, height) > MAX_SIDE_PX:
        raise ImageError(
            f"{name}: {width} x {height} px, expected {MIN_SIDE_PX} to {MAX_SIDE_PX} px a side; "
            "give a crop centred on one figure"
        )


def _check_kind(image: Image.Image, name: str) -> None:
    if image.mode in _GREY_MODES:
        raise ImageError(_grey(name))
    if _deeper_than_8_bit(image):
        raise ImageError(
            f"{name}: more than 8 bits a channel, expected 8-bit RGB; save it as 8-bit RGB"
        )
    if image.mode == "CMYK":
        raise ImageError(f"{name}: CMYK (colours for print), expected RGB; save it as RGB")
    if image.mode not in ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA"):
        raise ImageError(
            f"{name}: colour mode {image.mode}, expected 8-bit RGB; save it as 8-bit RGB"
        )


def _deeper_than_8_bit(image: Image.Image) -> bool:
    """Whether samples are wider than a byte: Pillow narrows 16-bit RGB without a word."""
    if image.mode.startswith(("I", "F")):
        return True
    for tile in getattr(image, "tile", ()):
        arguments = tile[3]
        raw_mode = arguments if isinstance(arguments, str) else (arguments or [""])[0]
        if isinstance(raw_mode, str) and ";16" in raw_mode:
            return True
    bits = getattr(image, "tag_v2", {}).get(258, (8,))
    return any(width > 8 for width in (bits if isinstance(bits, tuple) else (bits,)))


def _pixels(image: Image.Image, name: str) -> RGBImage:
    """Decode the image whose header was read, if header and pixels are those of a crop."""
    _check_size(image, name)
    _check_kind(image, name)
    try:
        if image.format == "TIFF":
            # Reading a TIFF's pixels parses its tags again, and may warn again.
            with _quiet():
                image.load()
        else:
            image.load()
        with _quiet():
            upright = ImageOps.exif_transpose(image)
    except MemoryError as fault:
        raise ImageError(f"{name}: not enough memory to decode it; free some memory") from fault
    except _DAMAGE as fault:
        raise ImageError(_damaged(name, fault)) from fault
    return _to_rgb(upright, name)


def _to_rgb(image: Image.Image, name: str) -> RGBImage:
    if image.has_transparency_data or image.mode in ("PA", "RGBa"):
        pixels = np.asarray(image.convert("RGBA"))
        if (pixels[..., 3] != 255).any():
            raise ImageError(
                f"{name}: partly transparent, so its colours are not certain; "
                "save it as opaque 8-bit RGB"
            )
        pixels = np.ascontiguousarray(pixels[..., :3])
    else:
        pixels = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    if image.mode in ("P", "PA") and (pixels == pixels[..., :1]).all():
        raise ImageError(_grey(name))
    return pixels


def _empty(name: str) -> str:
    return f"{name}: the file is empty (0 bytes); copy or export it again"


def _damaged(name: str, fault: BaseException) -> str:
    reason = " ".join(str(fault).split())[:120] or type(fault).__name__
    return f"{name}: truncated or damaged ({reason}); copy or export it again"


def _grey(name: str) -> str:
    return (
        f"{name}: greyscale, expected 8-bit RGB; H&E is told by its colours: "
        "export the crop in colour"
    )
