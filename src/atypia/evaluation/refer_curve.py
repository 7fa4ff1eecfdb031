"""What referring ever more figures to a person would leave wrong; for the report's plot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atypia.evaluation.judge import Judgement
from atypia.evaluation.refer_band import weigh_cases

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReferCurve:
    """What is wrong as more and more figures are referred to a person, each (N,), in [0, 1].

    Attributes:
        share: of the figures referred, from 0 up to, not including, 1.
        error: share of wrong calls among the rest.
        missed: share of a case's atypical figures called normal and not referred, mean over cases.
        false_alarms: the same of the normal figures called atypical.
    """

    share: FloatArray
    error: FloatArray
    missed: FloatArray
    false_alarms: FloatArray


def refer_curve(judgement: Judgement) -> ReferCurve | None:
    """Return what referring the most doubtful figures first would leave; None with one class.

    Doubt is what `refer_band` widens the band by: of a figure called normal, the share of the
    atypical figures that score no higher; of one called atypical, the share of the normal figures
    that score no lower; both are means over cases.
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
    for of in (0, 1):
        weights[of, truth == of] = weigh_cases(case[truth == of])
    up_to = np.cumsum(np.r_[0.0, weights[1, order]])[np.searchsorted(p[order], p, side="right")]
    below = np.cumsum(np.r_[0.0, weights[0, order]])[np.searchsorted(p[order], p, side="left")]
    first = np.argsort(-np.where(call, 1.0 - below, up_to), kind="stable")
    wrong = call != (truth == 1.0)

    def left(value: npt.NDArray[np.generic]) -> FloatArray:
        """Return the sum of what is left after the first 0, 1, ... N - 1 have gone."""
        rest: FloatArray = np.cumsum(value[first][::-1])[::-1].astype(np.float64)
        return rest

    kept = np.arange(len(p), 0, -1)
    return ReferCurve(
        share=1.0 - kept / len(p),
        error=left(wrong) / kept,
        missed=left(wrong * weights[1]),
        false_alarms=left(wrong * weights[0]),
    )
