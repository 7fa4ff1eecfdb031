"""The operating point, chosen on out-of-fold scores.

The logit at which as large a share of the atypical as of the normal figures is called right, means
over domains: each domain weighs the same, since the next laboratory will be like one of them, not
like a mixture by their sizes. A domain with few figures of a class weighs less in that class.

Against the threshold of the largest balanced accuracy, resampled over cases, it treats both classes
more alike in domains left out and is as accurate (docs/operating-point.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from atypia.errors import AtypiaError
from atypia.evaluation.metrics import SMALL_DOMAIN

FloatArray = npt.NDArray[np.float64]


def choose_operating_point(
    logits: FloatArray, truth: FloatArray, domains: npt.NDArray[Any]
) -> float:
    """Return the logit above which a figure is called atypical.

    Args:
        logits: (N,) finite scores that the model did not train on.
        truth: (N,) values in {0, 1}, both present.
        domains: (N,) the domain of each figure, names or numbers. In each class, one with fewer
            than `SMALL_DOMAIN` figures weighs in proportion to them.

    Returns:
        A logit within the range of `logits`.

    Raises:
        AtypiaError: `truth` holds one class only.
    """
    logits = np.asarray(logits, dtype=np.float64)
    positive = np.asarray(truth, dtype=np.float64) == 1.0
    if positive.all() or not positive.any():
        raise AtypiaError(
            f"the operating point needs held-out figures of both classes, but all {len(positive)} "
            f"are {'atypical' if len(positive) and positive.all() else 'normal'}; "
            "use other figures or folds"
        )
    levels = np.unique(logits)
    if len(levels) == 1:
        return float(levels[0])
    cuts = (levels[1:] + levels[:-1]) / 2
    _, domain = np.unique(np.asarray(domains).astype(str), return_inverse=True)
    below = [_share_below(cuts, logits[kind], domain[kind]) for kind in (positive, ~positive)]
    # Sensitivity less specificity: falls from cut to cut.
    apart = np.abs(1 - below[0] - below[1])
    return float(cuts[apart <= apart.min() + 1e-12].mean())


def _share_below(cuts: FloatArray, logits: FloatArray, domain: npt.NDArray[np.int64]) -> FloatArray:
    """Return the share of the figures of one class below each cut, mean over domains."""
    figures = np.bincount(domain)[domain]
    order = np.argsort(logits)
    weights = np.minimum(figures, SMALL_DOMAIN)[order] / figures[order]
    summed = np.concatenate([[0.0], np.cumsum(weights)])
    share: FloatArray = summed[np.searchsorted(logits[order], cuts)] / summed[-1]
    return share
