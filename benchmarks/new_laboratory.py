"""What helps with the scores of a laboratory that training has not seen, without its labels.

python benchmarks/new_laboratory.py FIGURES... RUNS.jsonl [ARM...]
python benchmarks/new_laboratory.py FIGURES... TRAINING...

The runs are those of `atypia ablate`; a training is the folder of one with
`folds.left_out_domains=true` or `folds.scheme=domains`. Temperature, bias and operating point for a
domain come from the scores of the other domains only, each scored by the run that left it out.

- Batches: a correction is fitted on scores of the domain (all of its figures; 50 at random; whole
  cases until there are 50) and judged on all its figures. Alignment moves logits towards the other
  domains' (mean; mean and standard deviation; 50 quantiles); EM estimates the share of atypical
  figures and moves P (Saerens et al. 2002), which changes no call.
- Prevalence: figures of one class are left out at random, so that another share is atypical.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from left_out_scores import Cohort, Floats, Ints, print_table, read_cohort, shown_difference

from atypia.evaluation.calibration import Calibration, fit_temperature
from atypia.evaluation.metrics import expected_calibration_error
from atypia.evaluation.operating_point import choose_operating_point

DRAWS = 20
RESAMPLES = 200
BATCH = 50
PREVALENCES = (0.1, 0.2, 0.35, 0.5, 0.7)
_LEVELS = np.linspace(0.01, 0.99, 50)
_LOW = 1 / 3


@dataclass(frozen=True)
class Trained:
    """What one set of scores knows before it meets a domain: the other domains."""

    logits: Floats
    cut: float
    calibration: Calibration
    class_means: Floats


Correction = Callable[[Trained, Floats, Floats], tuple[Floats, Floats]]
"""Takes a batch's logits and those to be judged; returns the latter for the call, and P."""


def untouched(trained: Trained, batch: Floats, logits: Floats) -> tuple[Floats, Floats]:
    return logits, trained.calibration.probability(logits)


def mean(trained: Trained, batch: Floats, logits: Floats) -> tuple[Floats, Floats]:
    return untouched(trained, batch, logits - batch.mean() + trained.logits.mean())


def half_of_the_mean(trained: Trained, batch: Floats, logits: Floats) -> tuple[Floats, Floats]:
    return untouched(trained, batch, logits + (trained.logits.mean() - batch.mean()) / 2)


def low_quantile(trained: Trained, batch: Floats, logits: Floats) -> tuple[Floats, Floats]:
    """Most figures are normal everywhere: how many are atypical moves the mean, hardly this."""
    shift = np.quantile(trained.logits, _LOW) - np.quantile(batch, _LOW)
    return untouched(trained, batch, logits + shift)


def mean_and_spread(trained: Trained, batch: Floats, logits: Floats) -> tuple[Floats, Floats]:
    standard = (logits - batch.mean()) / batch.std()
    return untouched(trained, batch, standard * trained.logits.std() + trained.logits.mean())


def quantiles(trained: Trained, batch: Floats, logits: Floats) -> tuple[Floats, Floats]:
    here, there = np.quantile(batch, _LEVELS), np.quantile(trained.logits, _LEVELS)
    beyond = logits - np.clip(logits, here[0], here[-1])
    return untouched(trained, batch, np.interp(logits, here, there) + beyond)


def label_shift(trained: Trained, batch: Floats, logits: Floats) -> tuple[Floats, Floats]:
    p = trained.calibration.probability(batch)
    known = trained.calibration.prevalence or 0.5
    share = known
    for _ in range(200):
        odds = p / (1 - p) * share / (1 - share) * (1 - known) / known
        share = float(np.clip((odds / (1 + odds)).mean(), 1e-3, 1 - 1e-3))
    return logits, trained.calibration.at_prevalence(share).probability(logits)


CORRECTIONS: dict[str, Correction] = {
    "nothing": untouched,
    "mean aligned": mean,
    "half of the mean aligned": half_of_the_mean,
    "lower third aligned": low_quantile,
    "mean and spread aligned": mean_and_spread,
    "quantiles aligned": quantiles,
    "EM for the share of atypical figures": label_shift,
}


def all_figures(cohort: Cohort, rows: Ints, rng: np.random.Generator) -> Ints:
    return rows


def at_random(cohort: Cohort, rows: Ints, rng: np.random.Generator) -> Ints:
    return rng.choice(rows, BATCH, replace=False)


def whole_cases(cohort: Cohort, rows: Ints, rng: np.random.Generator) -> Ints:
    names = cohort.case[rows].astype(str)
    drawn = rng.permutation(np.unique(names))
    sizes = np.array([(names == name).sum() for name in drawn])
    enough = int(np.searchsorted(np.cumsum(sizes), BATCH)) + 1
    return rows[np.isin(names, drawn[:enough])]


BATCHES = {
    "all": all_figures,
    f"{BATCH} at random": at_random,
    f"whole cases, {BATCH} or more": whole_cases,
}


def main() -> None:
    cohort = read_cohort(__doc__ or "")
    trained = [
        [_trained(cohort, logits, domain) for domain in range(len(cohort.names))]
        for logits in cohort.left
    ]
    _print_batches(cohort, trained)
    _print_prevalences(cohort, trained)


def _trained(cohort: Cohort, logits: Floats, domain: int) -> Trained:
    seen = cohort.domain != domain
    truth = cohort.truth[seen]
    temperature, bias = fit_temperature(logits[seen], truth)
    calibration = Calibration(
        temperature, bias, 0.5, 0.5, 0.5, "other domains", prevalence=float(truth.mean())
    )
    cut = choose_operating_point(logits[seen], truth, cohort.domain[seen])
    class_means = np.array([logits[seen][truth == kind].mean() for kind in (0, 1)])
    return Trained(logits[seen], cut, calibration, class_means)


def _judged(
    trained: Trained, correction: Correction, batch: Floats, logits: Floats, truth: Floats
) -> tuple[float, float]:
    """Return balanced accuracy and ECE of figures after a correction."""
    moved, p = correction(trained, batch, logits)
    call = moved > trained.cut
    balanced = (call[truth == 1].mean() + (~call[truth == 0]).mean()) / 2
    return float(balanced), expected_calibration_error(truth, p)


def _print_batches(cohort: Cohort, trained: list[list[Trained]]) -> None:
    rows = []
    for kind, draw in BATCHES.items():
        results: dict[str, Floats] = {}
        for name, correction in CORRECTIONS.items():
            if name == "nothing" and rows:
                continue
            results[name] = _by_domain(cohort, trained, correction, draw)
            balanced, error = results[name].mean(axis=0).T
            nothing = correction is untouched
            rows.append(
                [
                    name,
                    "" if nothing else kind,
                    f"{balanced.mean():.3f}",
                    f"{balanced.min():.3f}",
                    "" if nothing else _difference(cohort, trained, correction, draw, 0),
                    f"{error.mean():.3f}",
                    f"{error.max():.3f}",
                    "" if nothing else _difference(cohort, trained, correction, draw, 1),
                ]
            )
    print_table(
        ["correction", "batch", "BA", "worst", "difference", "ECE", "worst", "difference"], rows
    )


def _by_domain(
    cohort: Cohort,
    trained: list[list[Trained]],
    correction: Correction,
    draw: Callable[[Cohort, Ints, np.random.Generator], Ints],
) -> Floats:
    """Return balanced accuracy and ECE, (S, D, 2), mean over draws of the batch."""
    rng = np.random.default_rng(0)
    results = np.zeros((len(trained), len(cohort.names), 2))
    for domain in range(len(cohort.names)):
        rows = np.flatnonzero(cohort.domain == domain)
        for _ in range(DRAWS):
            batch = draw(cohort, rows, rng)
            for place, logits in enumerate(cohort.left):
                known = trained[place][domain]
                results[place, domain] += _judged(
                    known, correction, logits[batch], logits[rows], cohort.truth[rows]
                )
    return results / DRAWS


def _difference(
    cohort: Cohort,
    trained: list[list[Trained]],
    correction: Correction,
    draw: Callable[[Cohort, Ints, np.random.Generator], Ints],
    which: int,
) -> str:
    """Return how far a correction is above none, over resampled cases, batches and sets."""
    value = _by_domain(cohort, trained, correction, draw)[..., which]
    value = value - _by_domain(cohort, trained, untouched, all_figures)[..., which]
    rng = np.random.default_rng(1)
    resampled = []
    for _ in range(RESAMPLES):
        sets = rng.integers(len(trained), size=len(trained))
        parts = []
        for domain in range(len(cohort.names)):
            inside = np.flatnonzero(cohort.domain == domain)
            cases = np.unique(cohort.case[inside].astype(str))
            drawn = rng.choice(cases, len(cases))
            rows = np.concatenate([inside[cohort.case[inside] == name] for name in drawn])
            batch = draw(cohort, rows, rng)
            for place in sets:
                known, logits = trained[place][domain], cohort.left[place]
                judged = (known, correction, logits[batch], logits[rows], cohort.truth[rows])
                plain = (known, untouched, logits[batch], logits[rows], cohort.truth[rows])
                parts.append(_judged(*judged)[which] - _judged(*plain)[which])
        resampled.append(np.mean(parts))
    return shown_difference(float(value.mean()), np.array(resampled))


def _print_prevalences(cohort: Cohort, trained: list[list[Trained]]) -> None:
    rows, corrections = [], {}
    for prevalence in PREVALENCES:
        rng = np.random.default_rng(0)
        corrections = {
            "nothing": untouched,
            "prevalence given": _correct_prevalence(prevalence),
            "EM": label_shift,
            "quantiles aligned": quantiles,
            "half of the mean aligned": half_of_the_mean,
            "the same, prevalence given": _half_at_prevalence(prevalence),
        }
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in corrections}
        for domain in range(len(cohort.names)):
            for _ in range(DRAWS):
                kept = _thinned(cohort, domain, prevalence, rng)
                for place, logits in enumerate(cohort.left):
                    known = trained[place][domain]
                    for name, correction in corrections.items():
                        judged = (logits[kept], logits[kept], cohort.truth[kept])
                        results[name].append(_judged(known, correction, *judged))
        means = {name: np.mean(of, axis=0) for name, of in results.items()}
        rows.append(
            [f"{100 * prevalence:.0f} %", *(f"{ba:.3f} / {ece:.3f}" for ba, ece in means.values())]
        )
    print_table(["atypical", *(f"{name}: BA / ECE" for name in corrections)], rows)


def _correct_prevalence(prevalence: float) -> Correction:
    def correction(trained: Trained, batch: Floats, logits: Floats) -> tuple[Floats, Floats]:
        return logits, trained.calibration.at_prevalence(prevalence).probability(logits)

    return correction


def _half_at_prevalence(prevalence: float) -> Correction:
    def correction(trained: Trained, batch: Floats, logits: Floats) -> tuple[Floats, Floats]:
        expected = np.array([1 - prevalence, prevalence]) @ trained.class_means
        moved = logits + (expected - batch.mean()) / 2
        return moved, trained.calibration.at_prevalence(prevalence).probability(moved)

    return correction


def _thinned(cohort: Cohort, domain: int, prevalence: float, rng: np.random.Generator) -> Ints:
    """Leave out figures of one class until `prevalence` of the domain's is atypical."""
    here = cohort.domain == domain
    atypical = np.flatnonzero(here & (cohort.truth == 1))
    normal = np.flatnonzero(here & (cohort.truth == 0))
    odds = prevalence / (1 - prevalence)
    if len(atypical) > odds * len(normal):
        atypical = rng.choice(atypical, round(odds * len(normal)), replace=False)
    else:
        normal = rng.choice(normal, round(len(atypical) / odds), replace=False)
    return np.r_[atypical, normal]


if __name__ == "__main__":
    main()
