"""From light to a stored crop: point spread, sharpening, white point, noise, compression."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter1d

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
    once = gaussian_filter1d(image, sigma_px, axis=0, mode="nearest", truncate=3.0)
    twice: Floats = gaussian_filter1d(once, sigma_px, axis=1, mode="nearest", truncate=3.0)
    return twice


def _compress(image: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    """Slides are stored as JPEG: send the crop through it."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(buffer))
