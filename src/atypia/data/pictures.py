"""Pictures of figures for people: a square of given size in um, encoded anew."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def cut_picture(image: Pixels, mpp: float, side_um: float, side_px: int) -> Pixels:
    """Return the square of `side_um` around the centre of an image, resampled.

    What lies beyond the image is mid-grey, so that nobody takes it for tissue.

    Args:
        image: uint8 (H, W, 3), the figure at its centre.
        mpp: um/px of the image.
        side_um: side of the square.
        side_px: side of the picture.

    Returns:
        uint8 (side_px, side_px, 3).
    """
    height, width = image.shape[:2]
    half = side_um / mpp / 2
    left, top = width / 2 - half, height / 2 - half
    picture = Image.new("RGB", (side_px, side_px), (128, 128, 128))
    # The part of the square that the image covers, in px of the image and of the picture.
    box = (max(left, 0.0), max(top, 0.0), min(left + 2 * half, width), min(top + 2 * half, height))
    scale = side_px / (2 * half)
    place = [
        round((edge - start) * scale) for edge, start in zip(box, (left, top) * 2, strict=True)
    ]
    size = (max(1, place[2] - place[0]), max(1, place[3] - place[1]))
    part = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, box=box)
    picture.paste(part, (place[0], place[1]))
    return np.asarray(picture)


def encode_png(pixels: Pixels) -> bytes:
    """Return pixels, uint8 (H, W, 3), as a PNG that holds nothing else."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", compress_level=3)
    return file.getvalue()


def encode_jpeg(pixels: Pixels, quality: int = 92) -> bytes:
    """Return pixels, uint8 (H, W, 3), as a JPEG that holds nothing else; colours at full size."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=quality, subsampling=0)
    return file.getvalue()
