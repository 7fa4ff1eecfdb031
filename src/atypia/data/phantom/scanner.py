"""From light to a stored crop: point spread, sharpening, white point, noise, compression."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from atypia.data.phantom.domains import DomainLook

Floats = npt.NDArray[np.float32]


def scan(
    rng: np.random.Generator, light: Floats, look: DomainLook, defocus_um: float
) -> npt.NDArray[np.uint8]:
    """Return the crop that this domain's scanner stores.

    Args:
        rng: source of the sensor's noise.
        light: share of light that passes, float32 (H, W, 3) in [0, 1].
        look: the domain.
        defocus_um: deviation of the blur that this figure has beyond the scanner's own, um.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    sigma_px = float(np.hypot(look.blur_um, defocus_um)) / look.mpp
    image = _blur(light, sigma_px)
    if look.sharpening:
        image += np.float32(look.sharpening) * (image - _blur(image, 1.2))
    image *= np.asarray(look.white, dtype=np.float32)
    image += np.float32(look.noise) * rng.standard_normal(image.shape, dtype=np.float32)
    stored = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return _compress(stored, look.jpeg_quality)


def _blur(image: Floats, sigma_px: float) -> Floats:
    """Blur by a Gaussian along rows and columns; beyond the border, its pixel is repeated."""
    radius = int(3.0 * sigma_px + 0.5)
    line = np.exp(-0.5 / sigma_px**2 * np.arange(radius + 1) ** 2)
    line /= line[0] + 2 * line[1:].sum()
    for axis in (0, 1):
        along = np.moveaxis(image, axis, 0).astype(np.float64)
        padded = np.pad(along, [(radius, radius), (0, 0), (0, 0)], mode="edge")
        size = len(along)
        blurred = padded[radius : radius + size] * line[0]
        for step in range(radius, 0, -1):
            before, after = padded[radius - step :], padded[radius + step :]
            blurred += (before[:size] + after[:size]) * line[step]
        image = np.moveaxis(blurred.astype(np.float32), 0, axis)
    return np.ascontiguousarray(image)


def _compress(image: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    """Slides are stored as JPEG: send the crop through it."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(buffer))
