"""The operating point, chosen on out-of-fold scores.

The threshold that maximises balanced accuracy is unstable, because the curve is flat and ragged at
its top. The rule here has no parameters: draw `RESAMPLES` resamples of the clusters (cases), take
in each the middle of the thresholds that maximise balanced accuracy, and take the median of the
middles. Rules that weigh domains equally, or balance sensitivity and specificity, were measured on
domains left out and do no better (docs/operating-point.md).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atypia.errors import AtypiaError
from atypia.evaluation.intervals import draw_cluster_weights

FloatArray = npt.NDArray[np.float64]

RESAMPLES = 200


def choose_operating_point(
    logits: FloatArray, truth: FloatArray, clusters: npt.NDArray[np.object_], *, seed: int = 0
) -> float:
    """Return the logit above which a figure is called atypical.

    Args:
        logits: (N,) finite scores that the model did not train on.
        truth: (N,) values in {0, 1}, both present.
        clusters: (N,) case of each figure. With one cluster, the maximum itself is taken.
        seed: of the resamples.

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
    order = np.argsort(logits, kind="stable")
    scores, positive = logits[order], positive[order]
    starts = np.flatnonzero(np.r_[True, scores[1:] > scores[:-1]])
    levels = scores[starts]
    if len(levels) == 1:
        return float(levels[0])
    cuts = (levels[1:] + levels[:-1]) / 2
    if len(set(clusters)) < 2:
        return float(_find_best_cuts(np.ones((1, len(scores))), positive, starts, cuts)[0])
    middles = [
        _find_best_cuts(weights[:, order], positive, starts, cuts)
        for weights in draw_cluster_weights(clusters, RESAMPLES, seed)
    ]
    return float(np.nanmedian(np.concatenate(middles)))


def _find_best_cuts(
    weights: FloatArray,
    positive: npt.NDArray[np.bool_],
    starts: npt.NDArray[np.int64],
    cuts: FloatArray,
) -> FloatArray:
    """Return for each resample (R,) the middle of the best cuts; NaN with one class only."""
    atypical = np.add.reduceat(weights * positive, starts, axis=1)
    normal = np.add.reduceat(weights * ~positive, starts, axis=1)
    missed = np.cumsum(atypical, axis=1)[:, :-1]
    spared = np.cumsum(normal, axis=1)[:, :-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = spared / normal.sum(axis=1, keepdims=True) - missed / atypical.sum(
            axis=1, keepdims=True
        )
    best = gain >= gain.max(axis=1, keepdims=True) - 1e-12
    with np.errstate(invalid="ignore", divide="ignore"):
        middle: FloatArray = (best * cuts).sum(axis=1) / best.sum(axis=1)
    return middle
