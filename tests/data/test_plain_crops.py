"""Crops for prediction: the resampling is that of a sparse matrix, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from atypia.data import plain_crops


@pytest.mark.parametrize(
    ("side", "mpp", "input_px", "finest_mpp"),
    [(70, 0.25, 160, 0.0), (134, 0.12, 160, 0.25), (330, 0.05, 128, 0.2), (36, 0.5, 160, 0.0)],
)
def test_resampling_is_a_product_with_a_matrix(
    side: int, mpp: float, input_px: int, finest_mpp: float
) -> None:
    resampling = plain_crops._resampling(side, mpp, 16.0, input_px, finest_mpp)
    rows = np.broadcast_to(np.arange(input_px), resampling.columns.shape)
    entries = (rows.ravel(), resampling.columns.ravel())
    matrix = csr_array((resampling.weights.ravel(), entries), shape=(input_px, side))
    lines = np.random.default_rng(0).random((side, 30), dtype=np.float32) * 255
    np.testing.assert_array_equal(resampling.apply(lines), matrix @ lines)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-5)
