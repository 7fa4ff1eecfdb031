"""What rules for the refer band refer, and what they leave wrong that no person sees.

python benchmarks/refer_band.py FIGURES... RUNS.jsonl [ARM...]
python benchmarks/refer_band.py FIGURES... TRAINING...

The runs are those of `atypia ablate`; a training is the folder of one with
`folds.left_out_domains=true` or `folds.scheme=domains`. The band for a fold comes from the scores
of the other folds: first held-out folds, where there are any (new slides of known domains, where
the promise is meant to hold), then domains left out (unknown laboratories, where nothing is
promised).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from left_out_scores import Bools, Cohort, Floats, Ints, print_table, read_cohort
from scipy.stats import binom

from atypia.evaluation.operating_point import choose_operating_point
from atypia.evaluation.refer_band import MOST_REFERRED, REFER_RISK, choose_refer_band, weigh_cases

Band = tuple[float, float]
Rule = Callable[[Floats, Floats, np.ndarray, float], Band]
"""Takes logits, truth and cases of some figures and the operating point, returns the band."""

DOUBT = 0.1


def nearest(logits: Floats, truth: Floats, case: np.ndarray, cut: float, *, share: float) -> Band:
    reach = float(np.quantile(np.abs(logits - cut), share))
    return cut - reach, cut + reach


def each_class(
    logits: Floats, truth: Floats, case: np.ndarray, cut: float, *, risk: float, most: float = 1.0
) -> Band:
    band = choose_refer_band(logits, truth, case, cut, risk=risk, most=most)
    return band.low, band.high


def all_figures(
    logits: Floats, truth: Floats, case: np.ndarray, cut: float, *, risk: float
) -> Band:
    """Control the share of all figures of a case that are wrong unseen, as far to either side."""
    wrong = (logits > cut) != (truth == 1)
    distance = np.abs(logits - cut)
    # Far ones are lost first: as the lower tail of minus the distance.
    ends, lost = _losses(-distance, case, wrong)
    cases = len(np.unique(case.astype(str)))
    kept = (lost * cases + 1) / (cases + 1) <= risk
    reach = -float(ends[kept][-1]) if kept.any() else np.inf
    return cut - reach, cut + reach


def each_class_surely(
    logits: Floats, truth: Floats, case: np.ndarray, cut: float, *, risk: float
) -> Band:
    """Learn then test (Angelopoulos et al. 2021): in all but `DOUBT` of the draws of the cases."""
    ends = []
    for sign, kind in ((1, 1.0), (-1, 0.0)):
        mine = truth == kind
        scores, lost = _losses(sign * logits[mine], case[mine], np.ones(int(mine.sum()), bool))
        cases = len(np.unique(case[mine].astype(str)))
        sure = _p_value(lost, cases, risk) <= DOUBT / 2
        ends.append(sign * float(scores[sure][-1]) if sure.any() else -sign * np.inf)
    return min(cut, ends[0]), max(cut, ends[1])


RULES: dict[str, Rule] = {
    "the 10 % nearest to the operating point (before)": partial(nearest, share=0.1),
    "each class, risk 5 %": partial(each_class, risk=0.05),
    "each class, risk 10 %": partial(each_class, risk=0.1),
    "each class, risk 15 %": partial(each_class, risk=0.15),
    "each class, risk 20 %": partial(each_class, risk=0.2),
    "each class, risk 10 %, at most 30 % referred (the default)": partial(
        each_class, risk=REFER_RISK, most=MOST_REFERRED
    ),
    "all figures, risk 10 %": partial(all_figures, risk=0.1),
    "each class, risk 10 %, 90 % sure": partial(each_class_surely, risk=0.1),
    "each class, risk 15 %, 90 % sure": partial(each_class_surely, risk=0.15),
}


def main() -> None:
    cohort = read_cohort(__doc__ or "")
    _print_experts(cohort)
    for title, logits, folds in (
        ("held-out folds", cohort.held, cohort.held_out),
        ("domains left out", cohort.left, cohort.domain),
    ):
        if not np.isfinite(logits).all():
            continue  # all runs left domains out
        rows = []
        for name, rule in RULES.items():
            values = [_judged(cohort, one, folds, rule) for one in logits]
            rows.append([name, *(f"{100 * value:.1f} %" for value in np.mean(values, axis=0))])
        print_table(
            [
                title,
                "referred",
                "most in a domain",
                "atypical called normal unseen",
                "worst domain",
                "normal called atypical unseen",
                "worst domain",
                "wrong among the rest",
            ],
            rows,
        )


def _judged(cohort: Cohort, logits: Floats, folds: Ints, rule: Rule) -> list[float]:
    """Return what stands in the table after the rule's name."""
    truth, case = cohort.truth, cohort.case
    call, refer = np.zeros((2, len(truth)), dtype=bool)
    for fold in np.unique(folds[folds >= 0]):
        here = folds == fold
        seen = ~here & ~np.isin(case.astype(str), np.unique(case[here].astype(str)))
        cut = choose_operating_point(logits[seen], truth[seen], cohort.domain[seen])
        low, high = rule(logits[seen], truth[seen], case[seen], cut)
        call[here] = logits[here] > cut
        refer[here] = (logits[here] >= low) & (logits[here] <= high)
    unseen = (call != (truth == 1)) & ~refer
    domains = [cohort.domain == domain for domain in range(len(cohort.names))]
    risks = []
    for kind in (1, 0):
        mine = truth == kind
        risks += [
            float(weigh_cases(case[mine]) @ unseen[mine]),
            max(float(weigh_cases(case[mine & here]) @ unseen[mine & here]) for here in domains),
        ]
    most = max(float(refer[here].mean()) for here in domains)
    return [float(refer.mean()), most, *risks, float(unseen.sum() / (~refer).sum())]


def _losses(scores: Floats, case: np.ndarray, counted: Bools) -> tuple[Floats, Floats]:
    """Return the scores, ascending, and what is lost below each: mean over cases."""
    order = np.argsort(scores, kind="stable")
    weights = (weigh_cases(case) * counted)[order]
    return scores[order], np.cumsum(weights) - weights


def _p_value(lost: Floats, cases: int, risk: float) -> Floats:
    """Return Hoeffding's and Bentkus' p-value that the risk is above `risk`."""
    mean = np.minimum(lost, risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(mean > 0, mean * np.log(mean / risk), 0.0)
        apart += (1 - mean) * np.log((1 - mean) / (1 - risk))
    bentkus = np.e * binom.cdf(np.ceil(cases * lost), cases, risk)
    return np.minimum(np.exp(-cases * apart), bentkus)


def _print_experts(cohort: Cohort) -> None:
    """Print how often an expert is wrong against the others, where these agree."""
    errors = []
    for expert in range(cohort.votes.shape[1]):
        others = np.delete(cohort.votes, expert, axis=1)
        voted = np.isfinite(others).sum(axis=1)
        share = np.nansum(others, axis=1) / np.maximum(voted, 1)
        agreed = np.isfinite(cohort.votes[:, expert]) & (voted > 1) & np.isin(share, (0, 1))
        mine, theirs = cohort.votes[agreed, expert], share[agreed]
        errors.append([(mine[theirs == 1] == 0).mean(), (mine[theirs == 0] == 1).mean()])
    mean = np.mean(errors, axis=0)
    each = ", ".join(f"{100 * np.mean(one):.1f} %" for one in errors)
    print(
        "an expert against the others, where these agree: "
        f"{100 * mean[0]:.1f} % of atypical called normal, {100 * mean[1]:.1f} % of normal called "
        f"atypical; mean of both {each}\n"
    )


if __name__ == "__main__":
    main()
