"""The refer band: figures a person must review, so that few wrong calls go unreviewed.

A figure in the band is shown to a person; below it a figure is called normal and above it atypical
without review. Each end is chosen by conformal risk control (Angelopoulos et al. 2022,
theorem 1) on the figures of one class, so that the guarantee is made for each class and
holds at any share of atypical figures:

- A case's loss is the share of its atypical figures that lie below the band (for the upper end: of
  its normal figures that lie above it). It is in [0, 1] and never grows as the band widens.
- With n cases that hold figures of the class, the end is the innermost one at which
  (sum of losses + 1) / (n + 1) <= risk.

Then the expected loss of one more case is at most `risk`, if it is exchangeable with these n and
all are scored by one classifier that has not seen them. Figures of one case may depend on each
other in any way: cases are counted, not figures. The operating point may come from the same scores,
because it can only move an end outwards. The mean is over cases and over draws of the n cases;
nothing is guaranteed for a single case, nor for a laboratory whose figures differ from these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

REFER_RISK = 0.10
MOST_REFERRED = 0.30
_RISK_STEP = 0.001
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ReferBand:
    """A refer band on the logit scale, and the risk it was chosen for.

    Attributes:
        low: lower end, a logit, may be -inf.
        high: upper end, a logit, may be inf; low <= operating point <= high.
        aim: the requested risk, in (0, 1).
        risk: the risk that the band was chosen for, above `aim` where that would refer too many.
        share: of the figures it was chosen on that lie in the band, in [0, 1].
        share_for_aim: the same for the band that `aim` would need.
        most: the share that may be referred, in [0, 1].
        cases: number of cases that hold atypical, and normal, figures.
    """

    low: float
    high: float
    aim: float
    risk: float
    share: float
    share_for_aim: float
    most: float
    cases: tuple[int, int]

    @property
    def met(self) -> bool:
        """Whether the requested risk is kept."""
        return self.risk == self.aim

    @property
    def rule(self) -> str:
        """How it was chosen and what that guarantees, in words; `calibration.json` holds it."""
        risk, share = _format_percent(self.risk), _format_percent(self.share)
        if not self.met:
            aim, needed = _format_percent(self.aim), _format_percent(self.share_for_aim)
            return (
                f"no promise: a risk of {aim} takes {needed} of the figures it was fitted on, of "
                f"which at most {_format_percent(self.most)} shall be referred; this band is that "
                f"of a risk of {risk} and refers {share}"
            )
        return (
            f"of a case's atypical figures at most {risk} are called normal, and of its normal "
            f"ones at most {risk} atypical, without a person looking: on average over cases like "
            f"those it was fitted on (conformal risk control, {self.cases[0]} and {self.cases[1]} "
            f"cases); {share} of their figures are referred"
        )


def choose_refer_band(
    logits: FloatArray,
    truth: FloatArray,
    clusters: npt.NDArray[np.object_],
    operating_point: float,
    *,
    risk: float = REFER_RISK,
    most: float = MOST_REFERRED,
) -> ReferBand:
    """Return the band that keeps each class's risk, or refers as many as may be referred.

    Where the band of `risk` refers more than `most`, the band is that of the lowest risk, in steps
    of 0.1 %, that does not. That risk was chosen on these figures and is not guaranteed.

    Args:
        logits: (N,) finite scores that the model did not train on.
        truth: (N,) values in {0, 1}, both present; NaN where not known, which counts in shares.
        clusters: (N,) case of each figure.
        operating_point: a logit.
        risk: expected share of a case's atypical figures called normal unseen, and of its normal
            figures called atypical unseen; in (0, 1).
        most: share of all N figures that may be referred, in [0, 1].
    """
    logits = np.asarray(logits, dtype=np.float64)
    atypical, normal = np.asarray(truth) == 1.0, np.asarray(truth) == 0.0
    below = _Tail.of(logits[atypical], clusters[atypical])
    above = _Tail.of(-logits[normal], clusters[normal])

    def widen(at: float) -> tuple[float, float, float]:
        low = min(operating_point, below.end(at))
        high = max(operating_point, -above.end(at))
        return low, high, float(((logits >= low) & (logits <= high)).mean())

    low, high, share_for_aim = widen(risk)
    raised, share = risk, share_for_aim
    while share > most and raised < 1.0:
        raised = min(raised + _RISK_STEP, 1.0)
        low, high, share = widen(raised)
    return ReferBand(
        low, high, risk, raised, share, share_for_aim, most, (below.cases, above.cases)
    )


def weigh_cases(clusters: npt.NDArray[np.object_]) -> FloatArray:
    """Return a weight a figure, (N,): a sum with them is the mean over cases of each case's mean.

    Args:
        clusters: (N,) case of each figure.
    """
    names, member, sizes = np.unique(
        np.asarray(clusters).astype(str), return_inverse=True, return_counts=True
    )
    weights: FloatArray = 1.0 / (sizes[member] * max(len(names), 1))
    return weights


@dataclass(frozen=True)
class _Tail:
    """The scores of one class.

    Attributes:
        scores: (M,) ascending.
        lost: (M,) the sum over cases of each case's share of scores up to and with this one.
        cases: number of cases.
    """

    scores: FloatArray
    lost: FloatArray
    cases: int

    @classmethod
    def of(cls, scores: FloatArray, clusters: npt.NDArray[np.object_]) -> _Tail:
        order = np.argsort(scores, kind="stable")
        cases = len(np.unique(np.asarray(clusters).astype(str)))
        return cls(scores[order], np.cumsum(weigh_cases(clusters)[order]) * cases, cases)

    def end(self, risk: float) -> float:
        """Return the highest end at which (losses below it + 1) / (cases + 1) <= risk."""
        allowed = risk * (self.cases + 1) - 1
        if allowed < -_ROUNDING:
            return -np.inf
        first_over = int(np.searchsorted(self.lost, allowed + _ROUNDING, side="right"))
        return float(self.scores[first_over]) if first_over < len(self.scores) else np.inf


def _format_percent(share: float) -> str:
    return f"{100 * share:.3g} %"
