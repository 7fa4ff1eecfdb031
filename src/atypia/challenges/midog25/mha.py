"""MetaImage files (.mha): stacks of crops, as some challenge platforms hand them over."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atypia.data.images import MAX_SIDE_PX
from atypia.errors import AtypiaError, ImageError

_HEADER_BYTES = 4096  # pixels follow a header of a few hundred bytes in the same file
_PIXELS = b"ElementDataFile"
_MOST_COMPRESSED = 1032  # bytes that one byte of zlib can stand for


def read_mha(path: Path) -> npt.NDArray[np.uint8]:
    """Read the pages of a MetaImage.

    Args:
        path: a .mha file of 8-bit RGB, of two dimensions (one page) or three (many).

    Returns:
        uint8 (N, H, W, 3), RGB.

    Raises:
        ImageError: the file is missing, damaged, not 8-bit RGB, too large, or keeps its pixels in
            another file, which is never opened.
        AtypiaError: SimpleITK, which reads it, is not installed.
    """
    if path.exists() and not path.is_file():  # opening a pipe would wait for ever
        raise ImageError(f"{path}: is not a regular file; give a .mha file")
    try:
        with path.open("rb") as handle:
            lines = handle.read(_HEADER_BYTES).split(b"\n")
    except OSError as fault:
        reason = fault.strerror or type(fault).__name__
        raise ImageError(f"{path}: cannot be read ({reason}); check the path") from fault
    pixels = next((line for line in lines if line.lstrip().startswith(_PIXELS)), None)
    if pixels is None:
        raise ImageError(f"{path}: not a MetaImage, or its beginning is damaged; export it again")
    if pixels.partition(b"=")[2].strip() != b"LOCAL":
        raise ImageError(
            f"{path}: keeps its pixels in another file, expected them inside (ElementDataFile = "
            "LOCAL); save it as one .mha"
        )
    try:
        import SimpleITK
    except ImportError as fault:
        raise AtypiaError(
            f"{path}: reading .mha needs SimpleITK; pip install 'atypia[challenge]', or give a TIFF"
        ) from fault
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("MetaImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _require_crops(reader.GetSize(), path)
        _require_pixels(reader.GetSize(), path)
        _require_rgb(reader.GetNumberOfComponents(), reader.GetPixelID(), path)
        array = SimpleITK.GetArrayFromImage(reader.Execute())
    except RuntimeError as fault:
        reason = " ".join(str(fault).split())[-120:]
        raise ImageError(f"{path}: truncated or damaged ({reason}); export it again") from fault
    return np.ascontiguousarray(array.reshape(-1, *array.shape[-3:]))


def _require_crops(size: tuple[int, ...], path: Path) -> None:
    if len(size) not in (2, 3) or max(size[:2]) > MAX_SIDE_PX:
        raise ImageError(
            f"{path}: is {' x '.join(map(str, size))}, expected pages of at most {MAX_SIDE_PX} px "
            "a side; give a stack of crops"
        )


def _require_pixels(size: tuple[int, ...], path: Path) -> None:
    """Refuse a header that claims more than the file can hold, however well it is compressed."""
    claimed = 3 * prod(size)
    if claimed > _MOST_COMPRESSED * path.stat().st_size:
        raise ImageError(
            f"{path}: truncated or damaged (it claims {claimed:,} bytes of pixels); export it again"
        )


def _require_rgb(channels: int, pixel: int, path: Path) -> None:
    import SimpleITK

    if channels != 3 or pixel != SimpleITK.sitkVectorUInt8:
        kind = SimpleITK.GetPixelIDValueAsString(pixel)
        raise ImageError(
            f"{path}: {channels} channels ({kind}), expected 8-bit RGB; save it as 8-bit RGB"
        )
