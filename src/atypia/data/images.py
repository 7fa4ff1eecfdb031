"""Reading images: 8-bit RGB pixels, or one line that says what is wrong and what to do.

A crop's pixels are what the network sees, so nothing is converted that would lose or invent
colour. The header is judged before a pixel is decoded: a decompression bomb costs nothing.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from atypia.data.codecs import DAMAGE, hush_libtiff, silence_warnings
from atypia.data.tiff_pages import (
    Planes,
    describe_odd_page,
    doubt_figures,
    find_figures,
    format_sizes,
)
from atypia.errors import ImageError, describe_fault

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif"),
    *(".tif", ".tiff", ".bmp", ".webp"),
)
"""Suffixes of the files that hold a crop, in lower case."""

MIN_SIDE_PX = 16
MAX_SIDE_PX = 4096

RGBImage = npt.NDArray[np.uint8]
"""A crop: uint8 (H, W, 3), red, green, blue."""

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
_GREY_MODES = ("1", "L", "LA", "La")
# How files begin that people take for one of these formats: where, with what, and what they are.
_OTHER_FORMATS = (
    (0, b"GIF8", "a GIF"),
    (4, b"jP  ", "a JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (4, b"ftypavif", "an AVIF"),
    (4, b"ftyp", "a HEIC or another image of the HEIF family"),
    (0, b"\xff\x0a", "a JPEG XL"),
    (4, b"JXL ", "a JPEG XL"),
    (128, b"DICM", "a DICOM file"),
    (0, b"%PDF", "a PDF"),
    (0, b"8BPS", "a Photoshop file"),
)


def read_image(path: Path) -> RGBImage:
    """Read one crop from a file.

    RGBA that is opaque everywhere and a palette of colours are converted, without loss. An EXIF
    orientation is applied, as every viewer does; colour profiles are not. Of a phone's JPEG the
    picture itself is read, not the depth or gain map behind it; of a TIFF the page that is not
    marked as reduced or as a mask.

    Args:
        path: a PNG, JPEG, TIFF, BMP or WebP file with one image of 8-bit RGB; in a TIFF, red, green
            and blue may lie in three pages if OME metadata says so.

    Returns:
        uint8 (H, W, 3), RGB; H and W from `MIN_SIDE_PX` to `MAX_SIDE_PX`.

    Raises:
        ImageError: the file is missing, empty, damaged, or not 8-bit RGB of such a size.
    """
    name = str(path)
    with _open_regular(path) as handle:
        return _decode(handle, name)


def decode_image(data: bytes, name: str) -> RGBImage:
    """Decode one crop from the bytes of a file: as `read_image`; messages begin with `name`."""
    if not data:
        raise ImageError(_empty_message(name))
    return _decode(io.BytesIO(data), name)


def is_too_large(data: bytes) -> bool:
    """Whether the header of an image states more px a side than a crop has; nothing is decoded."""
    try:
        with silence_warnings():
            return max(Image.open(io.BytesIO(data), formats=_FORMATS).size) > MAX_SIDE_PX
    except Image.DecompressionBombError:
        return True
    except DAMAGE:
        return False


def image_pixels(image: Image.Image, name: str) -> RGBImage:
    """Return the pixels of an image of Pillow: as `read_image`; messages begin with `name`."""
    return _pixels(image, name)


def read_pages(path: Path) -> Iterator[RGBImage | ImageError]:
    """Read the figures of a TIFF in order, one at a time; a bad page does not end the others.

    Args:
        path: a TIFF file of one or more pages.

    Returns:
        For each page that `figure_pages` names its crop, uint8 (H, W, 3) as in `read_image`, or
        the `ImageError` that says why this page (counted from 1) cannot be used.

    Raises:
        ImageError: at once, when the file as a whole is missing, empty or not a TIFF.
    """
    with _open_regular(path) as handle:
        _read_header(handle, str(path), formats=("TIFF",)).close()
    return _read_pages(path)


def figure_pages(path: Path) -> list[int]:
    """Return which pages of a TIFF are figures, counted from 1; from its headers.

    Levels of a pyramid, thumbnails and masks that are marked as such are none. Where pages seem to
    be no figures of their own without a mark (see `doubt_figures`), it is the first alone.

    Raises:
        ImageError: the file as a whole is missing, empty, damaged or not a TIFF.
    """
    with _open_regular(path) as handle:
        image = _read_header(handle, str(path), formats=("TIFF",))
        figures = find_figures(image)
        # Reading the file as one image then says what is the matter.
        doubt = doubt_figures(image, [size for _, size in figures])
    return [1] if doubt or not figures else [planes[0] + 1 for planes, _ in figures]


def _read_pages(path: Path) -> Iterator[RGBImage | ImageError]:
    with _open_regular(path) as handle:
        image = _read_header(handle, str(path), formats=("TIFF",))
        for planes, _ in find_figures(image):
            try:
                yield _decode_planes(image, planes, f"{path}, page {planes[0] + 1}", handle)
            except ImageError as fault:
                yield fault


@contextmanager
def _open_regular(path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file that is not empty."""
    if path.is_dir():
        raise ImageError(f"{path}: is a folder, not an image; name a file inside it")
    if not path.exists():
        if path.is_symlink():
            raise ImageError(
                f"{path}: is a link to {path.readlink()}, which does not exist; fix the link"
            )
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
            raise ImageError(_empty_message(str(path)))
        yield handle


def _decode(handle: IO[bytes], name: str) -> RGBImage:
    with _read_header(handle, name, formats=_FORMATS) as image:
        if image.format == "TIFF":
            figures = find_figures(image)
            if len(figures) != 1:
                sizes = [size for _, size in figures]
                doubt = doubt_figures(image, sizes) or (
                    f"holds several images ({len(sizes)} of {format_sizes(sizes)} px), expected "
                    "one; predict on it as a multi-page TIFF or save each image as a file"
                )
                raise ImageError(f"{name}: {doubt}")
            return _decode_planes(image, figures[0][0], name, handle)
        if image.format == "MPO" and _is_one_picture(image):
            return _pixels(image, name)
        if getattr(image, "is_animated", False):
            raise ImageError(
                f"{name}: holds several images, expected one; save each image as a file"
            )
        return _pixels(image, name)


def _is_one_picture(image: Image.Image) -> bool:
    """Whether a JPEG of several pictures is one and what belongs to it: previews, depth, gain map.

    CIPA DC-007: pictures of a panorama, of a stereo pair and of several angles are marked.
    """
    entries = getattr(image, "mpinfo", {}).get(0xB002, [])
    kinds = [str(entry["Attribute"]["MPType"]) for entry in entries]
    return not any(kind.startswith("Multi-Frame") for kind in kinds)


def _read_header(handle: IO[bytes], name: str, formats: tuple[str, ...]) -> Image.Image:
    """Open an image and read its header; no pixel is decoded."""
    try:
        with silence_warnings():
            return Image.open(handle, formats=formats)
    except Image.DecompressionBombError as fault:
        raise ImageError(
            f"{name}: far too large for a crop (at most {MAX_SIDE_PX} px a side); "
            "cut crops around the figures"
        ) from fault
    except UnidentifiedImageError as fault:
        raise ImageError(_describe_unknown(handle, name, formats)) from fault
    except DAMAGE as fault:
        raise ImageError(_damage_message(name, fault)) from fault


def _describe_unknown(handle: IO[bytes], name: str, formats: tuple[str, ...]) -> str:
    """Describe a file that Pillow does not recognise as one of `formats`."""
    expected = "TIFF" if formats == ("TIFF",) else "PNG, JPEG, TIFF, BMP or WebP"
    handle.seek(0)
    head = handle.read(256)
    for offset, start, kind in _OTHER_FORMATS:
        if head.startswith(start, offset):
            return f"{name}: is {kind}, expected {expected}; save it as PNG"
    odd = describe_odd_page(handle, 0) if head[:2] in (b"II", b"MM") else ""
    if odd:
        return f"{name}: {odd}"
    return (
        f"{name}: not an image that can be read, or its beginning is damaged; give a {expected} "
        "file"
    )


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE_PX or max(width, height) > MAX_SIDE_PX:
        raise ImageError(
            f"{name}: {width} x {height} px, expected {MIN_SIDE_PX} to {MAX_SIDE_PX} px a side; "
            "give a crop centred on one figure"
        )


def _check_kind(image: Image.Image, name: str) -> None:
    if image.mode in _GREY_MODES:
        raise ImageError(_grey_message(name))
    _check_depth(image, name)
    if image.mode == "CMYK":
        raise ImageError(f"{name}: CMYK (colours for print), expected RGB; save it as RGB")
    if image.mode not in ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA"):
        raise ImageError(
            f"{name}: colour mode {image.mode}, expected 8-bit RGB; save it as 8-bit RGB"
        )


def _check_depth(image: Image.Image, name: str) -> None:
    if _deeper_than_8_bit(image):
        raise ImageError(
            f"{name}: more than 8 bits a channel, expected 8-bit RGB; save it as 8-bit RGB"
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


def _decode_planes(image: Image.Image, planes: Planes, name: str, handle: IO[bytes]) -> RGBImage:
    """Decode one figure of a TIFF, from its page or from the three that hold its colours.

    An unsupported compression is reported as such, not as damage.
    """
    try:
        if len(planes) == 1:
            _seek(image, planes[0], name)
            return _pixels(image, name)
        return np.dstack([_decode_plane(image, page, name) for page in planes])
    except _TiffDamageError as fault:
        odd = describe_odd_page(handle, planes[0])
        raise ImageError(f"{name}: {odd}" if odd else str(fault)) from fault


def _seek(image: Image.Image, page: int, name: str) -> None:
    try:
        with silence_warnings():
            image.seek(page)
    except DAMAGE as fault:
        raise _TiffDamageError(_damage_message(name, fault)) from fault


def _decode_plane(image: Image.Image, page: int, name: str) -> npt.NDArray[np.uint8]:
    """Decode a page that holds one of the colours, uint8 (H, W)."""
    _seek(image, page, name)
    _check_size(image, name)
    _check_depth(image, name)
    if image.mode != "L":
        raise ImageError(
            f"{name}: colour mode {image.mode} in a plane that should hold one colour, expected 8 "
            "bits a pixel; save it as 8-bit RGB"
        )
    _load(image, name)
    return np.array(image)


class _TiffDamageError(ImageError):
    """A TIFF's page that Pillow cannot read."""


def _load(image: Image.Image, name: str) -> None:
    """Decode."""
    try:
        if image.format == "TIFF":
            hush_libtiff()
            # Reading a TIFF's pixels parses its tags again, and may warn again.
            with silence_warnings():
                image.load()
        else:
            image.load()
    except MemoryError as fault:
        raise ImageError(f"{name}: not enough memory to decode it; free some memory") from fault
    except DAMAGE as fault:
        kind = _TiffDamageError if image.format == "TIFF" else ImageError
        raise kind(_damage_message(name, fault)) from fault


def _pixels(image: Image.Image, name: str) -> RGBImage:
    """Decode the image whose header was read, if header and pixels are those of a crop."""
    _check_size(image, name)
    _check_kind(image, name)
    _load(image, name)
    try:
        with silence_warnings():
            upright = ImageOps.exif_transpose(image)
    except DAMAGE as fault:
        raise ImageError(_damage_message(name, fault)) from fault
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
        raise ImageError(_grey_message(name))
    return pixels


def _empty_message(name: str) -> str:
    return f"{name}: the file is empty (0 bytes); copy or export it again"


def _damage_message(name: str, fault: BaseException) -> str:
    return f"{name}: truncated or damaged ({describe_fault(fault)}); copy or export it again"


def _grey_message(name: str) -> str:
    return (
        f"{name}: greyscale, expected 8-bit RGB (the colours of H&E are needed); "
        "export the crop in colour"
    )
