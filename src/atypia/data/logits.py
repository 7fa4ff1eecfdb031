"""Probabilities and their logits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def sigmoid(logits: npt.ArrayLike) -> FloatArray:
    """Return the probabilities of logits of any shape, float64 in [0, 1]."""
    values = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(values))  # never too large for a float
    p: FloatArray = np.where(values >= 0, 1.0, small) / (1 + small)
    return p


def logit(p: npt.ArrayLike) -> FloatArray:
    """Return the logits of probabilities of any shape, float64; those of 0 and 1 are infinite."""
    values = np.asarray(p, dtype=np.float64)
    with np.errstate(divide="ignore"):
        logits: FloatArray = np.log(values) - np.log1p(-values)
    return logits
