from __future__ import annotations

from dataclasses import replace

import numpy as np

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
