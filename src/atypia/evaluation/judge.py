"""Judge predictions against the experts' labels; the result holds all that a report needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from html import escape

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.domains import domain_names, short_domain_names
from atypia.data.join import match_ids
from atypia.data.predictions import join_predictions
from atypia.data.table import FigureTable, explain_missing_slides
from atypia.data.votes import (
    agreement,
    explain_contradictions,
    hard_labels,
    vote_columns,
)
from atypia.errors import TableError
from atypia.evaluation.intervals import (
    Interval,
    auroc_statistic,
    balanced_accuracy_statistic,
    bootstrap_clusters,
)
from atypia.evaluation.metrics import (
    POOLED,
    SMALL_DOMAIN,
    DomainMetrics,
    Metrics,
    best_balanced_accuracy,
    binary_metrics,
    format_metric,
    measure_domains,
    pool_small_domains,
)
from atypia.evaluation.refer_band import weigh_cases

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Referral:
    """Effect of referring uncertain figures to a person.

    Attributes:
        referred: number of figures referred.
        share: of all judged figures, in [0, 1].
        error: share of wrong calls over all judged figures.
        error_kept: share of wrong calls among the figures not referred; None if all are referred.
        kept: metrics of the figures not referred.
        missed: share of a case's atypical figures called normal and not referred, mean over cases;
            None where no figure is atypical.
        false_alarms: the same for normal figures called atypical.
    """

    referred: int
    share: float
    error: float
    error_kept: float | None
    kept: Metrics
    missed: float | None
    false_alarms: float | None


@dataclass(frozen=True)
class Judgement:
    """Predictions compared with the truth.

    Attributes:
        figures: the judged figures: the figure table's columns, `p_atypical`, `call`, `refer`,
            `spread`, `predicted_phase` (see `join_predictions`), `truth` (float64, 0 or 1) and
            `domain` (str).
        overall: metrics over all judged figures together.
        balanced_accuracy_interval: 95 % CI, bootstrap over cases; None where undefined.
        auroc_interval: the same for the AUROC.
        domains: metrics by domain; its frame also has `ba_low` and `ba_high`, the interval of
            balanced accuracy, and `ba_lost`, how far it lies below `best_balanced_accuracy`; NaN
            where not defined. Its summary has a row `ba_lost`, too. Small domains are one.
        experts: agreement between the experts by `domain`, the last row "all"; None
            where the table has no votes.
        referral: effect of the refer band.
        cases: number of cases, the clusters of the intervals.
        notes: in words, what was excluded and what to keep in mind.

    Example:
        >>> import pandas as pd
        >>> import atypia
        >>> ids = {"figure_id": ["a", "b", "c", "d"]}
        >>> figures = pd.DataFrame({**ids, "image": ids["figure_id"], "label": [1, 1, 0, 0]})
        >>> calls = ["atypical", "normal", "normal", "normal"]
        >>> scores = pd.DataFrame({**ids, "p_atypical": [0.9, 0.4, 0.2, 0.1], "call": calls})
        >>> atypia.evaluate(scores, figures).overall.balanced_accuracy
        0.75
    """

    figures: pd.DataFrame
    overall: Metrics
    balanced_accuracy_interval: Interval | None
    auroc_interval: Interval | None
    domains: DomainMetrics
    experts: pd.DataFrame | None
    referral: Referral
    cases: int
    notes: tuple[str, ...]

    @property
    def domain_names(self) -> list[str]:
        """Every domain by itself that is named anywhere here, sorted."""
        names = {str(name) for name in self.domains.frame["domain"]}
        if self.experts is not None:
            names |= {str(name) for name in self.experts["domain"][:-1]}
        return sorted(name for name in names if not name.startswith(POOLED))

    @property
    def short_names(self) -> dict[str, str]:
        """Short names of domains, and of what they are judged under in `domains`."""
        judged = [str(name) for name in self.domains.frame["domain"]]
        return {name: name for name in judged} | short_domain_names(self.domain_names)

    def __repr__(self) -> str:
        numbers = ", ".join(
            f"{word} {format_metric(value)}"
            + ("" if interval is None else f" (95 % CI {interval.low:.3f}-{interval.high:.3f})")
            for word, value, interval in (
                (
                    "balanced accuracy",
                    self.overall.balanced_accuracy,
                    self.balanced_accuracy_interval,
                ),
                ("AUROC", self.overall.auroc, self.auroc_interval),
            )
        )
        return (
            f"Judgement of {self.overall.figures:,} figures, {self.overall.atypical:,} atypical, "
            f"of {self.cases:,} cases: {numbers}"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: overall, each domain, and the notes."""
        columns = ["domain", "figures", "atypical", "balanced_accuracy", "ba_low", "ba_high"]
        columns += ["auroc", "sensitivity", "specificity"]
        table = self.domains.frame[columns].to_html(index=False, float_format="{:.3f}".format)
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"<p>{escape(repr(self))}</p>{table}" + (f"<ul>{notes}</ul>" if notes else "")

    def to_dict(self) -> dict[str, object]:
        """Return everything but the single figures as plain values, for JSON; NaN is None."""
        intervals = {
            "balanced_accuracy": self.balanced_accuracy_interval,
            "auroc": self.auroc_interval,
        }
        return {
            "overall": self.overall.to_dict(),
            "intervals": {
                name: interval.to_dict() if interval else None
                for name, interval in intervals.items()
            },
            "cases": self.cases,
            "domains": _to_records(self.domains.frame),
            "over_domains": {
                "domains": self.domains.counted,
                "left_out": list(self.domains.left_out),
                **{
                    str(name): {key: _to_plain(value) for key, value in row.items()}
                    for name, row in self.domains.summary.to_dict(orient="index").items()
                },
            },
            "experts": None if self.experts is None else _to_records(self.experts),
            "referral": {
                "referred": self.referral.referred,
                "share": self.referral.share,
                "error": self.referral.error,
                "error_kept": self.referral.error_kept,
                "missed": self.referral.missed,
                "false_alarms": self.referral.false_alarms,
                "kept": self.referral.kept.to_dict(),
            },
            "notes": list(self.notes),
        }


def judge(predictions: pd.DataFrame, table: FigureTable) -> Judgement:
    """Judge predictions against the labels and votes of a figure table.

    The truth of a figure is its label, or else the strict majority of its votes; figures that have
    neither are left out and counted in the notes. Intervals resample whole cases.

    Args:
        predictions: as `predictions.read_predictions` or `predictions.check_predictions` returns.
        table: the figures.

    Raises:
        TableError: no predicted figure is in the table, or none of these has a truth.
    """
    ids = match_ids(predictions["figure_id"], table)
    joined = join_predictions(predictions.assign(figure_id=ids), table)
    frame, notes = joined.frame, [*table.notes, *joined.notes]
    truth = np.asarray(hard_labels(frame), dtype=np.float64)
    frame = frame.assign(truth=truth, domain=np.asarray(domain_names(frame), dtype=object))
    has_truth = np.isfinite(truth)
    if not has_truth.any():
        raise TableError(
            f"none of the {len(frame)} predicted figures has a label or a majority of votes; "
            "give a table with label or vote_* columns"
        )
    if not has_truth.all():
        notes.append(
            f"{(~has_truth).sum()} figures have no label or majority of votes and are excluded"
        )
    frame = frame[has_truth].reset_index(drop=True)
    contradictions = explain_contradictions(frame)
    if contradictions:
        notes.append(contradictions)
    if explain_missing_slides(frame):
        notes.append(explain_missing_slides(frame))

    truth = frame["truth"].to_numpy(dtype=np.float64)
    p = frame["p_atypical"].to_numpy(dtype=np.float64)
    call = frame["call"].to_numpy(dtype=bool)
    clusters = frame["case"].to_numpy(dtype=object)
    overall = binary_metrics(truth, p, call)
    cases = len(set(clusters))
    own_domain = frame["domain"].to_numpy()
    frame["domain"], pool = pool_small_domains(truth, own_domain)
    if pool:
        notes.append(
            f"domains with under {SMALL_DOMAIN} atypical figures count as one domain, and not as "
            "the worst: a single one says little"
        )
    if overall.balanced_accuracy is None:
        only = "atypical" if overall.atypical else "normal"
        notes.append(f"all judged figures are {only}: balanced accuracy and AUROC are not defined")
    elif cases < 2:
        notes.append(
            "all judged figures come from one case: no confidence interval can be computed"
        )
    domains = _add_intervals(measure_domains(truth, p, call, own_domain), frame)
    if domains.left_out and len(domains.frame) > 1:
        notes.append(
            f"{len(domains.left_out)} of {len(domains.frame)} domains contain one class only and "
            f"are excluded from mean, standard deviation and worst: {', '.join(domains.left_out)}"
        )
    refer = frame["refer"].to_numpy(dtype=bool)
    return Judgement(
        figures=frame,
        overall=overall,
        balanced_accuracy_interval=bootstrap_clusters(
            balanced_accuracy_statistic(truth, call), clusters
        ),
        auroc_interval=bootstrap_clusters(auroc_statistic(truth, p), clusters),
        domains=domains,
        experts=(
            agreement(frame).rename_axis("domain").reset_index() if vote_columns(frame) else None
        ),
        referral=_measure_referral(truth, p, call, refer, clusters),
        cases=cases,
        notes=tuple(notes),
    )


def _measure_referral(
    truth: FloatArray,
    p: FloatArray,
    call: BoolArray,
    refer: BoolArray,
    clusters: npt.NDArray[np.object_],
) -> Referral:
    wrong = call != (truth == 1.0)
    kept = ~refer

    def average_unreviewed(label: float) -> float | None:
        mine = truth == label
        weights = weigh_cases(clusters[mine])
        return float(weights @ (wrong & kept)[mine]) if mine.any() else None

    return Referral(
        referred=int(refer.sum()),
        share=float(refer.mean()),
        error=float(wrong.mean()),
        error_kept=float(wrong[kept].mean()) if kept.any() else None,
        kept=binary_metrics(truth[kept], p[kept], call[kept]),
        missed=average_unreviewed(1.0),
        false_alarms=average_unreviewed(0.0),
    )


def _add_intervals(domains: DomainMetrics, figures: pd.DataFrame) -> DomainMetrics:
    """Return the domains with `ba_low`, `ba_high` and `ba_lost`, see `Judgement`."""
    lows, highs, best = [], [], []
    for name in domains.frame["domain"]:
        here = figures[figures["domain"] == name]
        truth = here["truth"].to_numpy(dtype=np.float64)
        interval = bootstrap_clusters(
            balanced_accuracy_statistic(truth, here["call"].to_numpy(dtype=bool)),
            here["case"].to_numpy(dtype=object),
        )
        lows.append(interval.low if interval else math.nan)
        highs.append(interval.high if interval else math.nan)
        best.append(best_balanced_accuracy(truth, here["p_atypical"].to_numpy(dtype=np.float64)))
    frame = domains.frame.assign(ba_low=lows, ba_high=highs)
    frame["ba_lost"] = np.array(best, dtype=np.float64) - frame["balanced_accuracy"]
    frame = frame.astype({"ba_low": "float64", "ba_high": "float64"})
    domains = replace(domains, frame=frame, summary=domains.summary.copy())
    domains.summary.loc["ba_lost"] = domains.summarise("ba_lost", lower_is_better=True)
    return domains


def infer_operating_point(p: FloatArray, call: BoolArray) -> tuple[float, float] | None:
    """Return the probability at which calls change from normal to atypical, as an interval.

    Predictions carry calls, not the operating point. With one operating point both ends are
    equal: half-way between the highest normal and the lowest atypical. Calls of several operating
    points (cross-fitted folds) overlap, and the ends are where the overlap begins and ends.

    Args:
        p: (N,) P(atypical).
        call: (N,) bool.

    Returns:
        (low, high), or None if all calls are the same.
    """
    if call.all() or not call.any():
        return None
    highest_normal, lowest_atypical = float(p[~call].max()), float(p[call].min())
    if highest_normal < lowest_atypical:
        middle = (highest_normal + lowest_atypical) / 2
        return middle, middle
    return lowest_atypical, highest_normal


def _to_records(frame: pd.DataFrame) -> list[dict[str, object]]:
    return [
        {str(key): _to_plain(value) for key, value in row.items()}
        for row in frame.to_dict(orient="records")
    ]


def _to_plain(value: object) -> object:
    """Return a value that JSON can hold: numbers as Python's own, NaN as None."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
