"""The agreement of a study: of those who voted on everything, each expert's own, and the splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError
from atypia.evaluation.agreement import measure_agreement
from atypia.study.agreement import CATEGORIES, measure_study
from atypia.study.agreement_page import SplitRemark, render_agreement
from atypia.study.answers import ANSWERS, Answer
from atypia.study.create import create_study
from atypia.study.store import Ballot
from atypia.study.study import Study

EXPERTS = ("anna", "ben", "eva")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    return make_phantom(tmp_path_factory.mktemp("cohort"), figures=120, domains=2, size_px=48)


def vote_at_random(study: Study, seed: int = 0) -> dict[str, dict[str, Answer]]:
    """Let each expert answer by a draw; a repeat is answered by another draw. Return all firsts."""
    rng = np.random.default_rng(seed)
    said: dict[str, dict[str, Answer]] = {}
    for name in study.settings.experts:
        said[name] = {}
        ballots = []
        for number, one in study.upcoming(name, 100_000):
            answer = ANSWERS[rng.choice(4, p=(0.3, 0.6, 0.05, 0.05))]
            if not one.is_repeat:
                said[name][one.figure] = answer
            ballots.append(Ballot(one.id, answer, f"{name}-{number}", milliseconds=1500))
        study.vote(name, ballots, after=0)
        study.lock(name)
    study.close()
    return said


def test_measures_are_of_those_who_voted_on_everything(cohort: FigureTable, tmp_path: Path) -> None:
    study = create_study(cohort, tmp_path / "study", EXPERTS).study
    with pytest.raises(AtypiaError, match="agreement is told once the study is closed"):
        measure_study(study)
    said = vote_at_random(study)
    found = measure_study(study, resamples=50)
    assert found.raters == ("anna", "ben")
    ids = list(study.table.frame["figure_id"])
    ratings = np.array(
        [
            [CATEGORIES.index(said[name][figure]) if said[name][figure] in CATEGORIES else -1
             for name in found.raters]
            for figure in ids
        ]
    )  # fmt: skip
    expected = measure_agreement(
        ratings, 3, study.table.frame["case"].to_numpy(dtype=object), resamples=50
    )
    assert found.overall == expected
    pair = found.pairs[0]
    both = (ratings >= 0).all(axis=1)
    assert (pair.one, pair.other, pair.figures) == ("anna", "ben", both.sum())
    assert pair.kappa == pytest.approx(cohen_kappa_score(*ratings[both].T))
    anna = found.experts[0]
    assert sum(anna.answers.values()) == 120
    assert anna.repeats == 20
    same = sum(one == other for one, other in study.repeated("anna"))
    assert anna.agrees_with_self == same / 20
    assert anna.minutes == pytest.approx(140 * 1.5 / 60)
    assert anna.minutes_per_100 == pytest.approx(100 * 1.5 / 60)
    for figure, answers in found.splits.items():
        assert len(set(answers.values())) > 1
        assert all(said[name][figure] == answer for name, answer in answers.items())
    differing = {figure for figure in ids if said["anna"][figure] != said["ben"][figure]}
    assert differing <= set(found.splits)


def test_an_expert_who_did_not_vote_has_no_figures_of_his_own(
    cohort: FigureTable, tmp_path: Path
) -> None:
    study = create_study(cohort, tmp_path / "study", ["anna", "ben"], rule="all").study
    ballots = [
        Ballot(one.id, "normal", f"anna-{number}") for number, one in study.upcoming("anna", 999)
    ]
    study.vote("anna", ballots, after=0)
    study.close(now=True)
    found = measure_study(study)
    assert found.overall.figures == 0
    assert found.overall.kappa.value is None
    ben = found.experts[1]
    assert (ben.minutes_per_100, ben.agrees_with_self, found.pairs[0].kappa) == (None, None, None)
    assert "0 of 120 figures got different answers" in render_agreement(study, found)


def test_the_page_shows_what_was_measured_and_escapes_what_it_was_given(
    cohort: FigureTable, tmp_path: Path
) -> None:
    ids = [f"<b>{figure}</b>" for figure in cohort.frame["figure_id"]]
    table = FigureTable(cohort.frame.assign(figure_id=ids), cohort.root)
    study = create_study(table, tmp_path / "study", EXPERTS, rule="all").study
    vote_at_random(study)
    found = measure_study(study, resamples=50)
    first = next(iter(found.splits))
    remark = SplitRemark(0.987, refer=True, neighbours=(("<i>like</i>", "anna: normal"),))
    html = render_agreement(study, found, {first: remark}, remarks_by="a classifier")
    assert "<b>" not in html
    assert "<i>like" not in html
    assert "&lt;b&gt;" in html
    assert f"{found.overall.kappa.value:.3f}" in html
    assert "P(atypical) 0.987, referred" in html
    assert html.count('<li class="exhibit">') == len(found.splits)
    assert "script" not in html
    assert "http" not in html.replace("http-equiv", "")
    (study.table.image_paths()[0]).unlink()
    assert "the image cannot be read any more" in render_agreement(study, found)
