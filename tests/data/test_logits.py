"""Probabilities and logits, compared with scipy's."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import special

from atypia.data.logits import logit, sigmoid


def test_they_are_those_of_scipy_to_the_ends() -> None:
    values = np.r_[-800.0, -40.0, np.linspace(-12, 12, 101), 40.0, 800.0, -np.inf, np.inf, np.nan]
    p = np.r_[0.0, 1e-300, 1e-9, np.linspace(0.01, 0.99, 99), 1 - 1e-12, 1.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(sigmoid(values), special.expit(values), rtol=1e-14, atol=0)
        np.testing.assert_allclose(logit(p), special.logit(p), rtol=1e-13, atol=1e-15)
    assert sigmoid(0.0).shape == logit(0.5).shape == ()
    assert sigmoid([[0.0, 1.0]]).shape == (1, 2)
