"""What a classifier says of the figures that experts differ in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.phantom import make_phantom
from atypia.errors import AtypiaError
from atypia.inference.options import PredictOptions
from atypia.study.agreement import measure_study
from atypia.study.create import create_study
from atypia.study.store import Ballot
from atypia.workflows.agree import NEIGHBOURS, measure_surprise, remark_splits
from atypia.workflows.predict import predict


def test_the_most_surprising_votes_come_first_with_figures_alike(tmp_path: Path) -> None:
    cohort = make_phantom(tmp_path / "cohort", figures=30, domains=2, size_px=64)
    study = create_study(cohort, tmp_path / "study", ["anna", "ben"], rule="all").study
    for name in ("anna", "ben"):
        ballots = [
            Ballot(
                one.id,
                "atypical" if name == "anna" and number % 3 else "normal",
                f"{name}-{number}",
            )
            for number, one in study.upcoming(name, 999)
        ]
        study.vote(name, ballots, after=0)
    options = PredictOptions(members=1, device="cpu", runtime="torch", precision="fp32")
    study.close(now=True)
    agreement = measure_study(study, resamples=10)
    remarks = remark_splits(study, agreement, options)
    assert set(remarks) == set(agreement.splits)
    assert len(remarks) == 20
    surprise = [
        measure_surprise(remark.p_atypical, agreement.splits[figure])
        for figure, remark in remarks.items()
    ]
    assert surprise == sorted(surprise, reverse=True)
    predict(study.table, tmp_path / "p.csv", options=options)
    scored = pd.read_csv(tmp_path / "p.csv").set_index("figure_id")
    slides = study.table.frame.set_index("figure_id")["slide"]
    for figure, remark in remarks.items():
        assert remark.p_atypical == pytest.approx(scored.loc[figure, "p_atypical"], abs=1e-6)
        assert remark.refer == scored.loc[figure, "refer"]
        assert len(remark.neighbours) == NEIGHBOURS
        for other, votes in remark.neighbours:
            assert slides[other] != slides[figure]
            assert votes.startswith("anna ")
            assert ", ben normal" in votes


def test_it_tells_nothing_while_votes_are_given(tmp_path: Path) -> None:
    cohort = make_phantom(tmp_path / "cohort", figures=10, domains=1, size_px=48)
    study = create_study(cohort, tmp_path / "study", ["anna"], rule="all").study
    with pytest.raises(AtypiaError, match="votes are compared with a classifier once the study"):
        remark_splits(study, None)  # type: ignore[arg-type]


def test_surprise_is_the_mean_log_loss_of_votes() -> None:
    assert measure_surprise(0.9, {"a": "atypical", "b": "normal"}) == pytest.approx(
        -(np.log(0.9) + np.log(0.1)) / 2
    )
    assert measure_surprise(0.9, {"a": "unsure", "b": "none"}) == 0
    assert np.isfinite(measure_surprise(0.0, {"a": "atypical"}))
