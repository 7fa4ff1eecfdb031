"""Compare the arms of an ablation: results over seeds, and differences between arms.

Every figure has two scores per seed: by a run that left its whole domain out, and by one that held
its case out but knew other slides of its domain. Figures are called by an operating point
fitted without their own fold (`cross_fit`). Differences are paired: both arms use the same
resamples of cases and seeds, so what makes a case hard for both cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atypia.evaluation.calibration import cross_fit
from atypia.evaluation.intervals import (
    Interval,
    Statistic,
    auroc_statistic,
    balanced_accuracy_statistic,
    draw_cluster_weights,
    percentile_interval,
)
from atypia.evaluation.metrics import pool_small_domains

FloatArray = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RESAMPLES = 1000


@dataclass(frozen=True)
class Measure:
    """What arms are compared by.

    Attributes:
        key: names columns of the table.
        domains: whether it is of left-out domains (the mean over them), or of held-out figures
            (all together).
        title: in words.
        short: in few.
    """

    key: str
    domains: bool
    title: str
    short: str


HELD_OUT_BA = Measure("held_out_ba", False, "held-out folds, balanced accuracy", "BA")
HELD_OUT_AUROC = Measure("held_out_auroc", False, "held-out folds, AUROC", "AUROC")
LEFT_OUT_BA = Measure("left_out_ba", True, "leave-one-domain-out, balanced accuracy", "BA")
LEFT_OUT_AUROC = Measure("left_out_auroc", True, "leave-one-domain-out, AUROC", "AUROC")
MEASURES = (HELD_OUT_BA, HELD_OUT_AUROC, LEFT_OUT_BA, LEFT_OUT_AUROC)


@dataclass(frozen=True)
class JudgedFigures:
    """N figures that all arms are judged by.

    Attributes:
        truth: float64 (N,), in {0, 1}, NaN where not known.
        case: (N,), the cluster of each figure.
        domain: (N,), the name of its domain.
        left_out: int64 (N,), the fold that leaves the figure's domain out.
        held_out: int64 (N,), the fold that holds its case out, -1 where there is none.
    """

    truth: FloatArray
    case: npt.NDArray[np.object_]
    domain: npt.NDArray[np.object_]
    left_out: Ints
    held_out: Ints


@dataclass(frozen=True)
class Scores:
    """The logits of one arm with one seed, over all its folds.

    Attributes:
        left_out: float64 (N,), by the run that left the figure's domain out.
        held_out: float64 (N,), by the run that held its case out; NaN where there is none.
    """

    left_out: FloatArray
    held_out: FloatArray


@dataclass(frozen=True)
class Difference:
    """How far an arm is above another one.

    Attributes:
        value: mean over the seeds of (arm - other).
        interval: 95 %, over resampled cases and seeds; None where the cases are too few.
        seeds: number of those that both arms have.
    """

    value: float
    interval: Interval | None
    seeds: int

    @property
    def verdict(self) -> str:
        """In words: better and worse only where the interval excludes zero."""
        if self.interval is None:
            return "too few cases"
        if self.interval.low > 0:
            return "better"
        return "worse" if self.interval.high < 0 else "no difference seen"


@dataclass(frozen=True)
class MeasureResult:
    """What an arm reaches in one measure.

    Attributes:
        mean: over seeds.
        sd: over seeds (sample standard deviation), NaN with one seed.
        worst_domain: name of the domain whose mean over seeds is lowest; "" of held-out folds.
        worst: that mean; NaN of held-out folds.
        difference: to the arm it is compared with; None where there is none, or no common seed.
    """

    mean: float
    sd: float
    worst_domain: str
    worst: float
    difference: Difference | None


@dataclass(frozen=True)
class ArmResult:
    """An arm: the seeds with all folds, and what it reaches, by the key of the measure."""

    name: str
    against: str | None
    seeds: tuple[int, ...]
    results: dict[str, MeasureResult]


@dataclass(frozen=True)
class Comparison:
    """The table.

    Attributes:
        arms: those with at least one whole seed, in the order given.
        not_run: names of the others.
        figures: number of figures with a known truth.
        cases: that these come from.
        domains: names of the left-out domains that hold both classes; the mean is over these.
        pool: the one of them that is small domains together, never the worst; "" for none.
        one_class: names of those that do not.
        never_held_out: number of figures that no run held out within their domain.
    """

    arms: tuple[ArmResult, ...]
    not_run: tuple[str, ...]
    figures: int
    cases: int
    domains: tuple[str, ...]
    pool: str
    one_class: tuple[str, ...]
    never_held_out: int

    def __repr__(self) -> str:
        numbers = "; ".join(
            f"{arm.name} {arm.results[LEFT_OUT_BA.key].mean:.3f}" for arm in self.arms
        )
        return (
            f"Comparison of {len(self.arms)} arms on {self.figures:,} figures, balanced accuracy "
            f"in left-out domains: {numbers}"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: all numbers, a row an arm."""
        from atypia.evaluation.comparison_tables import tabulate_comparison

        table: str = tabulate_comparison(self).to_html(
            index=False, float_format="{:.3f}".format, na_rep=""
        )
        return table


@dataclass(frozen=True)
class _Scheme:
    """The figures that one of the two schemes judges, M of N, and the parts it averages over."""

    domains: bool
    rows: Ints
    truth: FloatArray
    case: npt.NDArray[np.object_]
    domain: npt.NDArray[np.object_]
    folds: Ints
    parts: tuple[Ints, ...]

    @property
    def measures(self) -> tuple[Measure, ...]:
        return tuple(measure for measure in MEASURES if measure.domains is self.domains)

    def statistics(self, logits: FloatArray) -> dict[str, Statistic]:
        """Return each measure as a statistic of weights (R, M), by part: (P, R)."""
        logits = logits[self.rows]
        calls = cross_fit(logits, self.truth, self.truth, self.folds, self.case, self.domain)
        statistics = {}
        for measure in self.measures:
            accuracy = measure.short == "BA"
            by_part = [
                balanced_accuracy_statistic(self.truth[part], calls.call[part])
                if accuracy
                else auroc_statistic(self.truth[part], calls.p[part])
                for part in self.parts
            ]
            statistics[measure.key] = _stack_parts(by_part, self.parts)
        return statistics


@dataclass(frozen=True)
class _Estimate:
    """One measure of one arm and seed: (P,) by part, and (R,) the mean over parts, resampled."""

    by_part: FloatArray
    resampled: FloatArray


def compare(
    figures: JudgedFigures,
    scores: Mapping[str, Mapping[int, Scores]],
    against: Mapping[str, str],
    *,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Comparison:
    """Compare arms.

    Args:
        figures: with both classes in at least one domain, and beside each fold.
        scores: of each arm, by seed; seeds with all folds only, none for an arm that was not run.
        against: arm to the arm it is compared with.
        on_progress: called with the steps done and their total.

    Raises:
        AtypiaError: as `cross_fit`.
    """
    has_truth = np.isfinite(figures.truth)
    judged_as, pool = pool_small_domains(figures.truth, figures.domain)
    names = [str(name) for name in np.unique(judged_as.astype(str))]
    domains = tuple(
        name
        for name in names
        if len(np.unique(figures.truth[has_truth & (judged_as == name)])) == 2
    )
    run = {name: dict(sorted(seeds.items())) for name, seeds in scores.items() if seeds}
    seeds_run = [(name, seed) for name, seeds in run.items() for seed in seeds]
    estimates: dict[tuple[str, int, str], _Estimate] = {}
    for scheme in (
        _select_figures(figures, has_truth & (figures.held_out >= 0), figures.held_out),
        _select_figures(figures, has_truth, figures.left_out, [judged_as == of for of in domains]),
    ):
        statistics = {}
        for done, (name, seed) in enumerate(seeds_run, start=1 + scheme.domains * len(seeds_run)):
            of_run = run[name][seed]
            logits = of_run.left_out if scheme.domains else of_run.held_out
            for key, statistic in scheme.statistics(logits).items():
                statistics[name, seed, key] = statistic
            on_progress(done, 2 * len(seeds_run))
        estimates |= _evaluate_statistics(statistics, scheme.case)
    return Comparison(
        arms=tuple(
            _summarise_arm(name, list(run[name]), against, estimates, domains, pool) for name in run
        ),
        not_run=tuple(name for name in scores if name not in run),
        figures=int(has_truth.sum()),
        cases=len(np.unique(figures.case[has_truth])),
        domains=domains,
        pool=pool,
        one_class=tuple(name for name in names if name not in domains),
        never_held_out=int((has_truth & (figures.held_out < 0)).sum()),
    )


def _select_figures(
    figures: JudgedFigures,
    judged: npt.NDArray[np.bool_],
    folds: Ints,
    parts: Sequence[npt.NDArray[np.bool_]] | None = None,
) -> _Scheme:
    """Take the figures that a scheme judges; its parts are domains, or all figures as one."""
    rows = np.flatnonzero(judged)
    return _Scheme(
        domains=parts is not None,
        rows=rows,
        truth=figures.truth[rows],
        case=figures.case[rows],
        domain=figures.domain[rows],
        folds=folds[rows],
        parts=(np.arange(len(rows)),)
        if parts is None
        else tuple(np.flatnonzero(part[rows]) for part in parts),
    )


def _stack_parts(each: Sequence[Statistic], parts: Sequence[Ints]) -> Statistic:
    pairs = list(zip(each, parts, strict=True))
    return lambda weights: np.stack([statistic(weights[:, part]) for statistic, part in pairs])


def _evaluate_statistics(
    statistics: Mapping[tuple[str, int, str], Statistic], case: npt.NDArray[np.object_]
) -> dict[tuple[str, int, str], _Estimate]:
    """Evaluate all statistics on the figures, and on the same resamples of their cases."""
    once = np.ones((1, len(case)))
    drawn: dict[tuple[str, int, str], list[FloatArray]] = {key: [] for key in statistics}
    for weights in draw_cluster_weights(case, RESAMPLES, seed=0):
        for key, statistic in statistics.items():
            # Not defined where it is not in one of the domains.
            drawn[key].append(statistic(weights).mean(axis=0))
    return {
        key: _Estimate(statistic(once)[:, 0], np.concatenate(drawn[key]))
        for key, statistic in statistics.items()
    }


def _summarise_arm(
    name: str,
    seeds: Sequence[int],
    against: Mapping[str, str],
    estimates: Mapping[tuple[str, int, str], _Estimate],
    domains: Sequence[str],
    pool: str,
) -> ArmResult:
    """Sum an arm up over its seeds."""
    other = against.get(name)
    reached = {}
    for measure in MEASURES:
        mine = [estimates[name, seed, measure.key] for seed in seeds]
        by_seed = np.array([estimate.by_part.mean() for estimate in mine])
        by_part = np.mean([estimate.by_part for estimate in mine], axis=0)
        large = [at for at, name in enumerate(domains) if measure.domains and name != pool]
        lowest = min(large or [0], key=by_part.__getitem__)
        reached[measure.key] = MeasureResult(
            mean=float(by_seed.mean()),
            sd=float(by_seed.std(ddof=1)) if len(seeds) > 1 else float("nan"),
            worst_domain=domains[lowest] if measure.domains else "",
            worst=float(by_part[lowest]) if measure.domains else float("nan"),
            difference=_pool_differences(
                [
                    (estimates[name, seed, measure.key], estimates[other, seed, measure.key])
                    for seed in seeds
                    if other is not None and (other, seed, measure.key) in estimates
                ]
            ),
        )
    return ArmResult(name, other, tuple(seeds), reached)


def _pool_differences(pairs: Sequence[tuple[_Estimate, _Estimate]]) -> Difference | None:
    """Return the mean over common seeds of (arm - other); None without any.

    A resample draws cases and, with replacement, seeds: what another seed would have given is
    part of the doubt.
    """
    if not pairs:
        return None
    value = np.mean([mine.by_part.mean() - theirs.by_part.mean() for mine, theirs in pairs])
    resampled = np.stack([mine.resampled - theirs.resampled for mine, theirs in pairs])
    drawn = np.random.default_rng(0).integers(len(pairs), size=resampled.shape)
    mean = np.take_along_axis(resampled, drawn, axis=0).mean(axis=0)
    return Difference(float(value), percentile_interval(mean), len(pairs))
