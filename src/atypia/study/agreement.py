"""How far the experts of a closed study agree: with each other, with themselves, in what time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from atypia.data.votes import dawid_skene
from atypia.evaluation.agreement import ABSENT, Agreement, Measure, cohen_kappa, measure_agreement
from atypia.study.answers import Answer
from atypia.study.settings import TWO_AND_ONE
from atypia.study.study import Study

CATEGORIES: tuple[Answer, ...] = ("atypical", "normal", "none")
"""Answers that agree or differ; "cannot tell" is no rating."""


@dataclass(frozen=True)
class ExpertSummary:
    """One expert's part.

    Attributes:
        expert: who.
        answers: how many figures got each answer, repeats left out.
        minutes: spent on all votes that stand.
        minutes_per_100: of these, for a hundred votes; None without votes.
        repeats: figures that were shown twice.
        agrees_with_self: share of these with the same answer twice; None without any.
        sensitivity: P(votes atypical | atypical), estimated from all votes (Dawid and Skene 1979).
        specificity: P(votes normal | normal), likewise.
    """

    expert: str
    answers: Mapping[Answer, int]
    minutes: float
    minutes_per_100: float | None
    repeats: int
    agrees_with_self: float | None
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class Pair:
    """Two experts on the figures that both rated.

    Attributes:
        one: an expert.
        other: the second one.
        figures: that both rated.
        kappa: Cohen's; None where it is not defined.
    """

    one: str
    other: str
    figures: int
    kappa: float | None


@dataclass(frozen=True)
class StudyAgreement:
    """The agreement of a study.

    Attributes:
        raters: those whose agreement `overall` is: all who voted on everything, so under
            two-and-one without the arbiter, who sees what others differ in.
        overall: of these, on `CATEGORIES`, with intervals over cases.
        experts: each one's part.
        pairs: of all experts. The arbiter's are on disputed figures, and lower for it.
        splits: figures with different answers, with each expert's; in the order of the table.
    """

    raters: tuple[str, ...]
    overall: Agreement
    experts: tuple[ExpertSummary, ...]
    pairs: tuple[Pair, ...]
    splits: Mapping[str, Mapping[str, Answer]]


def measure_study(study: Study, *, resamples: int = 1000, seed: int = 0) -> StudyAgreement:
    """Return the agreement of a closed study.

    Args:
        study: closed.
        resamples: of the bootstrap over cases.
        seed: the same seed gives the same intervals.

    Raises:
        AtypiaError: the study goes on.

    Example:
        >>> import atypia
        >>> from atypia.data.phantom import make_phantom
        >>> cohort = make_phantom("cohort", figures=20, domains=2, size_px=64)
        >>> study = atypia.create_study(cohort, "study", ["anna", "ben"], rule="all").study
        >>> study.close(now=True)
        >>> [one.expert for one in atypia.measure_study(study).experts]
        ['anna', 'ben']
    """
    study.require_closed("agreement is told")
    settings, frame = study.settings, study.table.frame
    answers = {name: study.answers(name) for name in settings.experts}
    ratings = {
        name: np.array([_category(given.get(figure)) for figure in frame["figure_id"]])
        for name, given in answers.items()
    }
    raters = settings.first_two if settings.rule == TWO_AND_ONE else settings.experts
    overall = measure_agreement(
        np.stack([ratings[name] for name in raters], axis=1),
        len(CATEGORIES),
        frame["case"].to_numpy(dtype=object),
        resamples=resamples,
        seed=seed,
    )
    return StudyAgreement(
        raters,
        overall,
        tuple(_summarise(study, answers)),
        tuple(
            Pair(
                *pair,
                int(((ratings[pair[0]] >= 0) & (ratings[pair[1]] >= 0)).sum()),
                cohen_kappa(ratings[pair[0]], ratings[pair[1]], len(CATEGORIES)),
            )
            for pair in combinations(settings.experts, 2)
        ),
        _find_splits(study, answers),
    )


def list_measures(overall: Agreement) -> list[tuple[str, Measure, str]]:
    """Return each measure with its name, and what it means in plain words."""
    return [
        (
            "Raw agreement",
            overall.raw,
            "Chance that two experts of a figure give the same answer.",
        ),
        (
            "Agreement on atypical",
            overall.specific[0],
            "Chance that one expert says atypical if another one did.",
        ),
        (
            "Agreement on normal",
            overall.specific[1],
            "Chance that one expert says normal if another one did.",
        ),
        ("Fleiss' kappa", overall.kappa, "Agreement beyond chance; 0 is chance, 1 is perfect."),
        (
            "Krippendorff's alpha",
            overall.alpha,
            "Agreement beyond chance, corrected for small samples; answers may be missing.",
        ),
        (
            "Gwet's AC1",
            overall.ac1,
            "Agreement beyond chance that does not fall where one answer is rare.",
        ),
    ]


def _category(answer: Answer | None) -> int:
    return CATEGORIES.index(answer) if answer in CATEGORIES else ABSENT


def _summarise(study: Study, answers: Mapping[str, Mapping[str, Answer]]) -> list[ExpertSummary]:
    words: dict[Answer, float] = {"atypical": 1.0, "normal": 0.0}
    votes = np.array(
        [
            [words.get(given.get(figure, "unsure"), np.nan) for given in answers.values()]
            for figure in study.table.frame["figure_id"]
        ]
    )
    skill = dawid_skene(votes)
    summaries = []
    for number, part in enumerate(study.progress()):
        given = list(answers[part.expert].values())
        repeated = study.repeated(part.expert)
        same = sum(first == second for first, second in repeated)
        summaries.append(
            ExpertSummary(
                expert=part.expert,
                answers={answer: given.count(answer) for answer in (*CATEGORIES, "unsure")},
                minutes=part.minutes,
                minutes_per_100=100 * part.minutes / part.voted if part.voted else None,
                repeats=len(repeated),
                agrees_with_self=same / len(repeated) if repeated else None,
                sensitivity=float(skill.sensitivity[number]),
                specificity=float(skill.specificity[number]),
            )
        )
    return summaries


def _find_splits(
    study: Study, answers: Mapping[str, Mapping[str, Answer]]
) -> dict[str, dict[str, Answer]]:
    splits = {}
    for figure in study.table.frame["figure_id"]:
        given = {name: own[figure] for name, own in answers.items() if figure in own}
        if len(set(given.values())) > 1:
            splits[str(figure)] = given
    return splits
