"""Errors that remain as more figures are referred to a person; for the report's plot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atypia.evaluation.judge import Judgement
from atypia.evaluation.refer_band import weigh_cases

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReferCurve:
    """Remaining errors as more figures are referred to a person, each (N,), in [0, 1].

    Attributes:
        share: of the figures referred, from 0 up to, not including, 1.
        error: share of wrong calls among figures not referred.
        missed: share of a case's atypical figures called normal and not referred, mean over cases.
        false_alarms: the same for normal figures called atypical.
    """

    share: FloatArray
    error: FloatArray
    missed: FloatArray
    false_alarms: FloatArray


def refer_curve(judgement: Judgement) -> ReferCurve | None:
    """Return the errors left if the most uncertain are referred first; None with one class.

    Uncertainty is measured as `refer_band` widens the band: for a figure called normal, the share
    of atypical figures that score no higher; for a figure called atypical, the share of normal
    figures that score no lower; both are means over cases.
    """
    if judgement.overall.auroc is None:
        return None
    figures = judgement.figures
    truth = figures["truth"].to_numpy(dtype=np.float64)
    p = figures["p_atypical"].to_numpy(dtype=np.float64)
    call = figures["call"].to_numpy(dtype=bool)
    case = figures["case"].to_numpy(dtype=object)
    order = np.argsort(p, kind="stable")
    weights = np.zeros((2, len(p)))
    for label in (0, 1):
        weights[label, truth == label] = weigh_cases(case[truth == label])
    up_to = np.cumsum(np.r_[0.0, weights[1, order]])[np.searchsorted(p[order], p, side="right")]
    below = np.cumsum(np.r_[0.0, weights[0, order]])[np.searchsorted(p[order], p, side="left")]
    first = np.argsort(-np.where(call, 1.0 - below, up_to), kind="stable")
    wrong = call != (truth == 1.0)

    def sum_rest(value: npt.NDArray[np.generic]) -> FloatArray:
        """Return the sum over the figures left after referring the first 0, 1, ... N - 1."""
        rest: FloatArray = np.cumsum(value[first][::-1])[::-1].astype(np.float64)
        return rest

    kept = np.arange(len(p), 0, -1)
    return ReferCurve(
        share=1.0 - kept / len(p),
        error=sum_rest(wrong) / kept,
        missed=sum_rest(wrong * weights[1]),
        false_alarms=sum_rest(wrong * weights[0]),
    )
