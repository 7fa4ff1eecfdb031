"""Which rule finds the operating point for a laboratory that training has not seen.

python benchmarks/operating_point.py FIGURES... RUNS.jsonl [ARM...]
python benchmarks/operating_point.py FIGURES... TRAINING...

The runs are those of `atypia ablate`; a training is the folder of one with
`folds.left_out_domains=true` or `folds.scheme=domains`. The operating point for a domain comes from
the scores of the other domains only, each scored by the run that left it out; it is judged on the
domain's figures.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from left_out_scores import Bools, Cohort, Floats, print_table, read_cohort
from scipy.special import logit

from atypia.evaluation.calibration import fit_temperature
from atypia.evaluation.intervals import draw_cluster_weights
from atypia.evaluation.metrics import best_balanced_accuracy
from atypia.evaluation.operating_point import choose_operating_point

Rule = Callable[[Cohort, Floats, Bools], float]
"""Takes logits (N,) and which figures may be looked at (N,), returns a cut."""

_FOLDS = 5
_RESAMPLES = 200


def classes_alike_domains_equal(cohort: Cohort, logits: Floats, seen: Bools) -> float:
    return choose_operating_point(logits[seen], cohort.truth[seen], cohort.domain[seen])


def resampled_cases(cohort: Cohort, logits: Floats, seen: Bools) -> float:
    """Return the median, over resamples of cases, of the best cuts' middles."""
    order = np.argsort(logits[seen], kind="stable")
    scores, positive = logits[seen][order], cohort.truth[seen][order] == 1
    starts = np.flatnonzero(np.r_[True, scores[1:] > scores[:-1]])
    cuts = (scores[starts][1:] + scores[starts][:-1]) / 2
    middles = []
    for weights in draw_cluster_weights(cohort.case[seen], _RESAMPLES, seed=0):
        hits, normal = (
            np.add.reduceat(weights[:, order] * kind, starts, axis=1)
            for kind in (positive, ~positive)
        )
        missed, spared = (np.cumsum(each, axis=1)[:, :-1] for each in (hits, normal))
        gain = spared / normal.sum(axis=1, keepdims=True) - missed / hits.sum(axis=1, keepdims=True)
        best = gain >= gain.max(axis=1, keepdims=True) - 1e-12
        middles.append((best * cuts).sum(axis=1) / best.sum(axis=1))
    return float(np.nanmedian(np.concatenate(middles)))


def one_maximum(cohort: Cohort, logits: Floats, seen: Bools) -> float:
    cuts, hits, spared = _curves(cohort, logits, [seen])
    return _middle_of_best(cuts, (hits + spared)[0])


def domains_equal(cohort: Cohort, logits: Floats, seen: Bools) -> float:
    cuts, hits, spared = _curves(cohort, logits, _by_domain(cohort, seen))
    return _middle_of_best(cuts, (hits + spared).mean(axis=0))


def crossing(cohort: Cohort, logits: Floats, seen: Bools) -> float:
    cuts, hits, spared = _curves(cohort, logits, [seen])
    return float(cuts[np.abs(hits - spared)[0].argmin()])


def half(cohort: Cohort, logits: Floats, seen: Bools) -> float:
    return _cut_at(0.5, cohort, logits, seen)


def prevalence(cohort: Cohort, logits: Floats, seen: Bools) -> float:
    return _cut_at(float(cohort.truth[seen].mean()), cohort, logits, seen)


RULES: dict[str, Rule] = {
    "sensitivity = specificity, domains weigh the same (today's)": classes_alike_domains_equal,
    "balanced accuracy, resampled over cases (before)": resampled_cases,
    "balanced accuracy, its one maximum": one_maximum,
    "balanced accuracy, domains weigh the same": domains_equal,
    "sensitivity = specificity": crossing,
    "P = the share of atypical figures": prevalence,
    "P = 0.5": half,
}


def calls_by(cohort: Cohort, rule: Rule) -> Floats:
    """Return the calls (S, N) of each domain by an operating point of the others."""
    calls = np.zeros_like(cohort.left)
    for place, logits in enumerate(cohort.left):
        for domain in range(len(cohort.names)):
            here = cohort.domain == domain
            calls[place, here] = logits[here] > rule(cohort, logits, ~here)
    return calls


def calls_by_known_domains(cohort: Cohort) -> Floats:
    """Return the calls by today's rule on held-out figures of the domains that a run knew."""
    calls = np.zeros_like(cohort.left)
    for place, logits in enumerate(cohort.left):
        for domain in range(len(cohort.names)):
            here = cohort.domain == domain
            runs = np.unique(cohort.left_out[here])
            known = np.isin(cohort.held_out, runs) & ~here if cohort.crossed else ~here
            cut = classes_alike_domains_equal(cohort, cohort.held[place], known)
            calls[place, here] = logits[here] > cut
    return calls


def calls_by_own_labels(cohort: Cohort) -> Floats:
    """Return the calls by today's rule on the domain's own figures, of other cases."""
    names, case = np.unique(cohort.case.astype(str), return_inverse=True)
    fold = (np.random.default_rng(0).permutation(len(names)) % _FOLDS)[case]
    calls = np.zeros_like(cohort.left)
    for place, logits in enumerate(cohort.left):
        for domain in range(len(cohort.names)):
            for number in range(_FOLDS):
                here = (cohort.domain == domain) & (fold == number)
                seen = (cohort.domain == domain) & (fold != number)
                calls[place, here] = logits[here] > classes_alike_domains_equal(
                    cohort, logits, seen
                )
    return calls


def main() -> None:
    cohort = read_cohort(__doc__ or "")
    made = {name: calls_by(cohort, rule) for name, rule in RULES.items()}
    today = next(iter(made.values()))
    if cohort.knows_domains:
        made["today's, on held-out figures of known domains"] = calls_by_known_domains(cohort)
    made["today's, on the domain's own other cases"] = calls_by_own_labels(cohort)
    arms = list(dict.fromkeys(cohort.arm))
    best = np.array([_own_best(cohort, logits) for logits in cohort.left])
    rows = []
    for name, calls in made.items():
        reached = cohort.balanced_accuracy(calls)[0]
        lost = best - reached
        rows.append(
            [
                name,
                *(f"{reached[cohort.arm == arm].mean():.3f}" for arm in arms),
                f"{reached.mean(axis=0).min():.3f}",
                "" if calls is today else cohort.difference(calls, today),
                f"{_imbalance(cohort, calls):.3f}",
                f"{lost.mean():.3f}",
                f"{lost.mean(axis=0).max():.3f}",
            ]
        )
    print_table(
        [
            "operating point",
            *(f"BA, {arm}" for arm in arms),
            "worst domain",
            "difference",
            "abs(sens. - spec.)",
            "below own best",
            "worst",
        ],
        rows,
    )
    by_domain = (best - cohort.balanced_accuracy(today)[0]).mean(axis=0)
    print_table(
        ["domain", "BA at its own best point", "today's rule below it"],
        [
            [name, f"{best[:, place].mean():.3f}", f"{by_domain[place]:.3f}"]
            for place, name in enumerate(cohort.names)
        ],
    )


def _curves(cohort: Cohort, logits: Floats, parts: list[Bools]) -> tuple[Floats, Floats, Floats]:
    """Return cuts (C,), and sensitivity and specificity of each part at each, (P, C)."""
    levels = np.unique(logits[np.logical_or.reduce(parts)])
    cuts = (levels[1:] + levels[:-1]) / 2
    hits, spared = [], []
    for part in parts:
        atypical = np.sort(logits[part & (cohort.truth == 1)])
        normal = np.sort(logits[part & (cohort.truth == 0)])
        hits.append(1 - np.searchsorted(atypical, cuts) / len(atypical))
        spared.append(np.searchsorted(normal, cuts) / len(normal))
    return cuts, np.array(hits), np.array(spared)


def _by_domain(cohort: Cohort, seen: Bools) -> list[Bools]:
    return [seen & (cohort.domain == domain) for domain in np.unique(cohort.domain[seen])]


def _middle_of_best(cuts: Floats, gain: Floats) -> float:
    return float(cuts[gain >= gain.max() - 1e-12].mean())


def _cut_at(p: float, cohort: Cohort, logits: Floats, seen: Bools) -> float:
    temperature, bias = fit_temperature(logits[seen], cohort.truth[seen])
    return float((logit(p) - bias) * temperature)


def _own_best(cohort: Cohort, logits: Floats) -> list[float]:
    parts = [cohort.domain == domain for domain in range(len(cohort.names))]
    return [best_balanced_accuracy(cohort.truth[part], logits[part]) or 0.5 for part in parts]


def _imbalance(cohort: Cohort, calls: Floats) -> float:
    """Return how far sensitivity and specificity lie apart, mean over sets and domains."""
    apart = []
    for domain in range(len(cohort.names)):
        here = cohort.domain == domain
        hits = calls[:, here & (cohort.truth == 1)].mean(axis=1)
        spared = 1 - calls[:, here & (cohort.truth == 0)].mean(axis=1)
        apart.append(np.abs(hits - spared))
    return float(np.mean(apart))


if __name__ == "__main__":
    main()
