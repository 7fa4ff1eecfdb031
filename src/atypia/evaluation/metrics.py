"""Metrics of calls and probabilities: balanced accuracy, AUROC, calibration, by domain.

A metric that is undefined (one class only, no figures) is None, never a placeholder such as 0.5.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.domains import short_domain_names

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

ECE_BINS = 15
#: A domain with fewer atypical figures is judged together with the others of the kind.
SMALL_DOMAIN = 25

POOLED = "small domains together: "
"""How the common name of small domains begins."""


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
            a metric is undefined; `gap`, between sensitivity and specificity, in [0, 1].
        summary: one row a metric or `gap` (index), columns `mean`, `sd` (sample standard
            deviation, NaN with fewer than two domains) and `worst`, over the domains that contain
            both classes; the small ones together are never the worst.
        counted: number of domains in the summary.
        left_out: names of the domains with one class only, excluded from the summary.
        pool: name of the small domains together, as in `frame`; "" where there are none.
    """

    frame: pd.DataFrame
    summary: pd.DataFrame
    counted: int
    left_out: tuple[str, ...]
    pool: str = ""

    def summarise(self, name: str, *, lower_is_better: bool) -> list[float]:
        """Return mean, standard deviation and worst of a column of `frame`."""
        counted = self.frame[~self.frame["domain"].isin(self.left_out)]
        large = counted.loc[counted["domain"] != self.pool, name]
        worst = large.max() if lower_is_better else large.min()
        return [counted[name].mean(), counted[name].std(ddof=1), worst]


def roc_curve(truth: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the receiver operating characteristic, its points from (0, 0) to (1, 1).

    Args:
        truth: (N,) values in {0, 1}, both present.
        p: (N,) scores; only their order matters.

    Returns:
        Share of normal and share of atypical figures called atypical at each point of the scores
        and above, (P,) each: 1 - specificity and sensitivity.
    """
    atypical, called = _count_above(truth, p)
    hits = np.concatenate([[0.0], atypical / atypical[-1]])
    normal = called - atypical
    return np.concatenate([[0.0], normal / normal[-1]]), hits


def auroc(truth: FloatArray, p: FloatArray) -> float:
    """Return the area under `roc_curve`: how often an atypical figure has the higher score.

    Equal scores count half. Arguments as for `roc_curve`.
    """
    false_alarms, hits = roc_curve(truth, p)
    return float(np.sum(np.diff(false_alarms) * (hits[1:] + hits[:-1])) / 2)


def average_precision(truth: FloatArray, p: FloatArray) -> float:
    """Return the step-wise area under the precision-recall curve; arguments as for `roc_curve`."""
    atypical, called = _count_above(truth, p)
    gained = np.diff(atypical, prepend=0.0)
    return float(np.sum(gained * atypical / called) / atypical[-1])


def _count_above(truth: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return, for each score from the highest on, the atypical and all figures from it upwards."""
    order = np.argsort(-np.asarray(p, dtype=np.float64), kind="stable")
    score = np.asarray(p, dtype=np.float64)[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # of each score
    atypical = np.cumsum(np.asarray(truth, dtype=np.float64)[order])[last]
    return atypical, last + 1.0


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
        auroc=auroc(truth, p) if both else None,
        average_precision=average_precision(truth, p) if both else None,
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
    false_alarms, hits = roc_curve(truth, p)
    return float((1 + np.max(hits - false_alarms)) / 2)


def pool_small_domains(
    truth: FloatArray, domains: npt.NDArray[np.object_]
) -> tuple[npt.NDArray[np.object_], str]:
    """Give domains with under `SMALL_DOMAIN` atypical figures one name together.

    A single one of them says little; together they count as one domain, and never as the worst.
    Where fewer than two domains are larger, each stays as it is.

    Args:
        truth: (N,) values in {0, 1}; NaN where not known.
        domains: (N,) name of each figure's domain.

    Returns:
        The name that each figure is judged under, (N,); and the common one, "" where there is none.
    """
    names = np.asarray(domains, dtype=object)
    atypical = pd.Series(np.asarray(truth) == 1.0).groupby(names).sum()
    small = [str(name) for name in atypical.index[atypical < SMALL_DOMAIN]]
    if not small or len(atypical) - len(small) < 2:
        return names, ""
    short = short_domain_names([str(name) for name in atypical.index])
    together = POOLED + "; ".join(short[name] for name in small)
    pool = small[0] if len(small) == 1 else together
    return np.where(np.isin(names, small), pool, names).astype(object), pool


def measure_domains(
    truth: FloatArray, p: FloatArray, call: BoolArray, domains: npt.NDArray[np.object_]
) -> DomainMetrics:
    """Return the metrics of every domain, with their mean, standard deviation and worst.

    Small domains are judged together (`pool_small_domains`).

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
    names, pool = pool_small_domains(truth, domains)
    for name in sorted({str(name) for name in names}):
        here = names == name
        metrics = binary_metrics(truth[here], p[here], call[here])
        rows.append({"domain": name, **metrics.to_dict()})
        if metrics.balanced_accuracy is None:
            left_out.append(name)
    columns = ["domain", "figures", "atypical", *METRIC_NAMES]
    frame = pd.DataFrame(rows, columns=columns)
    frame = frame.astype(dict.fromkeys(METRIC_NAMES, "float64"))
    frame["gap"] = (frame["sensitivity"] - frame["specificity"]).abs()
    summary = pd.DataFrame(columns=["mean", "sd", "worst"], dtype="float64")
    counted = len(frame) - len(left_out)
    measured = DomainMetrics(frame, summary, counted, tuple(left_out), pool)
    for name in (*METRIC_NAMES, "gap"):
        lower = name == "gap" or name in LOWER_IS_BETTER
        summary.loc[name] = measured.summarise(name, lower_is_better=lower)
    return measured
