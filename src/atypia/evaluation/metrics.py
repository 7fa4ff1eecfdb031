"""Metrics of calls and probabilities: balanced accuracy, AUROC, calibration, by domain.

A metric that is undefined (one class only, no figures) is None, never a placeholder such as 0.5.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

ECE_BINS = 15


@dataclass(frozen=True)
class Metrics:
    """Metrics of a classifier on a set of figures, each in [0, 1] or None.

    Attributes:
        figures: number of figures.
        atypical: number of figures whose truth is atypical.
        balanced_accuracy: mean of sensitivity and specificity.
        sensitivity: share of atypical figures called atypical.
        specificity: share of normal figures called normal.
        auroc: area under the receiver operating characteristic.
        average_precision: area under the precision-recall curve (step-wise), atypical is positive.
        ece: expected calibration error (see `expected_calibration_error`).
        brier: mean squared distance of P(atypical) from the hard truth (Brier, 1950).
    """

    figures: int
    atypical: int
    balanced_accuracy: float | None
    sensitivity: float | None
    specificity: float | None
    auroc: float | None
    average_precision: float | None
    ece: float | None
    brier: float | None

    def __repr__(self) -> str:
        names = {name: name.replace("_", " ") for name in METRIC_NAMES}
        names |= {"auroc": "AUROC", "ece": "ECE", "brier": "Brier score"}
        numbers = ", ".join(
            f"{word} {format_metric(getattr(self, key))}" for key, word in names.items()
        )
        return f"Metrics of {self.figures:,} figures, {self.atypical:,} atypical: {numbers}"

    def to_dict(self) -> dict[str, int | float | None]:
        """Return the fields as plain values, for JSON."""
        return asdict(self)


def format_metric(value: float | None) -> str:
    """Return a metric to three decimals, or "not defined"."""
    return "not defined" if value is None else f"{value:.3f}"


METRIC_NAMES: tuple[str, ...] = tuple(
    field.name for field in fields(Metrics) if field.name not in ("figures", "atypical")
)
LOWER_IS_BETTER: frozenset[str] = frozenset({"ece", "brier"})


@dataclass(frozen=True)
class DomainMetrics:
    """Metrics by domain, and their variation over domains.

    Attributes:
        frame: one row a domain, sorted by name: `domain`, then the fields of `Metrics`, NaN where
            a metric is undefined.
        summary: one row a metric (index), columns `mean`, `sd` (sample standard deviation, NaN
            with fewer than two domains) and `worst`, over the domains that contain both classes.
        counted: number of domains in the summary.
        left_out: names of the domains with one class only, excluded from the summary.
    """

    frame: pd.DataFrame
    summary: pd.DataFrame
    counted: int
    left_out: tuple[str, ...]


def expected_calibration_error(truth: FloatArray, p: FloatArray, bins: int = ECE_BINS) -> float:
    """Return the expected calibration error of P(atypical) (Guo et al. 2017, eq. 3).

    Probabilities are grouped into equal-width bins. In each, the mean probability is compared with
    the share of atypical figures; the absolute differences are averaged, weighted by bin size.

    Args:
        truth: (N,) values in {0, 1}, N >= 1.
        p: (N,) P(atypical), in [0, 1].
        bins: number of equal-width bins.

    Returns:
        A value in [0, 1]; 0 is best.
    """
    which = np.minimum((p * bins).astype(np.int64), bins - 1)
    gap = np.bincount(which, weights=p - truth, minlength=bins)
    return float(np.abs(gap).sum() / len(p))


def binary_metrics(truth: FloatArray, p: FloatArray, call: BoolArray) -> Metrics:
    """Return all metrics of one set of figures.

    Args:
        truth: (N,) values in {0, 1}; 1 is atypical. N may be 0.
        p: (N,) P(atypical), in [0, 1].
        call: (N,) bool; True where the figure was called atypical.

    Raises:
        ValueError: the arrays differ in length, or `truth` holds anything but 0 and 1.
    """
    truth = np.asarray(truth, dtype=np.float64)
    p = np.asarray(p, dtype=np.float64)
    call = np.asarray(call, dtype=bool)
    if not len(truth) == len(p) == len(call):
        raise ValueError(f"truth, p, call have {len(truth)}, {len(p)}, {len(call)} entries")
    if not np.isin(truth, (0.0, 1.0)).all():
        raise ValueError("truth must hold 0 and 1 only; leave out the figures without truth")
    positive = truth == 1.0
    atypical, normal = int(positive.sum()), int((~positive).sum())
    both = atypical > 0 and normal > 0
    sensitivity = float(call[positive].mean()) if atypical else None
    specificity = float((~call[~positive]).mean()) if normal else None
    balanced = (
        (sensitivity + specificity) / 2
        if sensitivity is not None and specificity is not None
        else None
    )
    return Metrics(
        figures=len(truth),
        atypical=atypical,
        balanced_accuracy=balanced,
        sensitivity=sensitivity,
        specificity=specificity,
        auroc=float(roc_auc_score(truth, p)) if both else None,
        average_precision=float(average_precision_score(truth, p)) if both else None,
        ece=expected_calibration_error(truth, p) if len(truth) else None,
        brier=float(np.mean((p - truth) ** 2)) if len(truth) else None,
    )


def best_balanced_accuracy(truth: FloatArray, p: FloatArray) -> float | None:
    """Return the highest balanced accuracy that any operating point reaches on these figures.

    Args:
        truth: (N,) values in {0, 1}.
        p: (N,) scores; only their order matters.

    Returns:
        A value in [0.5, 1], or None with one class only. It is an optimistic bound, because the
        operating point is chosen on the figures it is evaluated on.
    """
    truth = np.asarray(truth, dtype=np.float64)
    if len(np.unique(truth)) < 2:
        return None
    false_alarms, hits, _ = roc_curve(truth, p)
    return float((1 + np.max(hits - false_alarms)) / 2)


def measure_domains(
    truth: FloatArray, p: FloatArray, call: BoolArray, domains: npt.NDArray[np.object_]
) -> DomainMetrics:
    """Return the metrics of every domain, with their mean, standard deviation and worst.

    Args:
        truth: (N,) values in {0, 1}.
        p: (N,) P(atypical), in [0, 1].
        call: (N,) bool; True where called atypical.
        domains: (N,) name of each figure's domain.

    Raises:
        ValueError: as `binary_metrics`.
    """
    rows: list[dict[str, object]] = []
    left_out: list[str] = []
    names = np.asarray(domains, dtype=object)
    for name in sorted({str(name) for name in names}):
        here = names == name
        metrics = binary_metrics(truth[here], p[here], call[here])
        rows.append({"domain": name, **metrics.to_dict()})
        if metrics.balanced_accuracy is None:
            left_out.append(name)
    columns = ["domain", "figures", "atypical", *METRIC_NAMES]
    frame = pd.DataFrame(rows, columns=columns)
    frame = frame.astype(dict.fromkeys(METRIC_NAMES, "float64"))
    counted = frame[~frame["domain"].isin(left_out)]
    worst = {
        name: counted[name].max() if name in LOWER_IS_BETTER else counted[name].min()
        for name in METRIC_NAMES
    }
    summary = pd.DataFrame(
        {
            "mean": counted[list(METRIC_NAMES)].mean(),
            "sd": counted[list(METRIC_NAMES)].std(ddof=1),
            "worst": pd.Series(worst, dtype="float64"),
        },
        index=list(METRIC_NAMES),
    )
    return DomainMetrics(frame, summary, len(counted), tuple(left_out))
