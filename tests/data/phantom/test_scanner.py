from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from atypia.data.phantom import scanner
from atypia.data.phantom.domains import DOMAIN_LOOKS
from atypia.data.phantom.scanner import scan


def test_a_scanner_keeps_the_picture_and_blurs_what_is_out_of_focus() -> None:
    look = replace(DOMAIN_LOOKS[0], noise=0.0, sharpening=0.0, jpeg_quality=95)
    light = np.ones((64, 64, 3), np.float32)
    light[20:24, 4:40] = 0.2
    sharp, soft = (
        scan(np.random.default_rng(0), light, look, defocus_um=defocus).astype(float)
        for defocus in (0.0, 1.0)
    )
    assert np.abs(sharp[40:] - look.white).max() < 4, "an empty slide is the white point"
    assert np.corrcoef(sharp[..., 1].ravel(), light[..., 1].ravel())[0, 1] > 0.95
    assert np.ptp(soft) < 0.7 * np.ptp(sharp)


@pytest.mark.parametrize("sigma_px", [0.3, 0.6, 1.2, 2.7, 5.0])
def test_its_blur_is_that_of_scipy(sigma_px: float) -> None:
    image = np.random.default_rng(0).random((60, 48, 3), dtype=np.float32) * 255
    expected = image
    for axis in (0, 1):
        expected = gaussian_filter1d(expected, sigma_px, axis=axis, mode="nearest", truncate=3.0)
    np.testing.assert_array_equal(scanner._blur(image, sigma_px), expected)
