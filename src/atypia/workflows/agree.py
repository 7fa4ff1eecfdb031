"""What a classifier says of figures that experts differ in, once their study is closed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from atypia.evaluation.neighbours import find_neighbours
from atypia.inference.options import PredictOptions
from atypia.inference.predictor import Predictor
from atypia.inference.sources import open_sources
from atypia.progress import OnProgress, opens_bars, show_bars
from atypia.study.agreement import StudyAgreement
from atypia.study.agreement_page import SplitRemark
from atypia.study.answers import IN_WORDS, Answer
from atypia.study.study import Study
from atypia.workflows.embed import embed

NEIGHBOURS = 3
_SMALLEST_P = 1e-4


@opens_bars
def remark_splits(
    study: Study,
    agreement: StudyAgreement,
    options: PredictOptions | None = None,
    *,
    on_progress: OnProgress = show_bars,
) -> dict[str, SplitRemark]:
    """Return remarks on the figures that experts differ in, the most surprising votes first.

    Votes surprise by the mean of -log P(vote), with P(atypical) of the classifier. Beside P stand
    the nearest voted figures of other slides, by the classifier's embedding, with their votes.

    Args:
        study: closed.
        agreement: as `measure_study` gives it.
        options: which bundle, and how it runs; none takes the one that comes with atypia.
        on_progress: called after each batch; without it, bars in a terminal or notebook.

    Raises:
        AtypiaError: the study goes on, the bundle cannot be used, or no image can be read.
    """
    study.require_closed("votes are compared with a classifier")
    predictor = Predictor.load(options=options)
    predictions = _predict(predictor, study, on_progress)
    p, refer = predictions["p_atypical"], predictions["refer"]
    embedding = embed(study.table, predictor, on_progress=on_progress)
    answers = {name: study.answers(name) for name in study.settings.experts}
    slides = study.table.frame.set_index("figure_id")["slide"]
    voted = [
        figure
        for figure in embedding.index
        if any(own.get(figure) in ("atypical", "normal") for own in answers.values())
    ]
    asked = [figure for figure in agreement.splits if figure in embedding.index]
    rows, _ = find_neighbours(
        embedding.loc[asked].to_numpy(),
        embedding.loc[voted].to_numpy(),
        slides.loc[asked].to_numpy(dtype=object),
        slides.loc[voted].to_numpy(dtype=object),
        NEIGHBOURS,
    )
    remarks = {
        figure: SplitRemark(
            float(p[figure]),
            bool(refer[figure]),
            tuple((voted[row], _in_words(voted[row], answers)) for row in nearest if row >= 0),
        )
        for figure, nearest in zip(asked, rows, strict=True)
    }
    surprise = {
        figure: measure_surprise(remark.p_atypical, agreement.splits[figure])
        for figure, remark in remarks.items()
    }
    return dict(sorted(remarks.items(), key=lambda item: -surprise[item[0]]))


def measure_surprise(p_atypical: float, answers: Mapping[str, Answer]) -> float:
    """Return how much votes surprise whoever holds P(atypical): the mean of -log P(vote).

    Args:
        p_atypical: in [0, 1].
        answers: of each expert; those that are neither atypical nor normal do not count.

    Returns:
        0 or more, in nats; 0 without a vote for atypical or normal.
    """
    p = min(max(p_atypical, _SMALLEST_P), 1 - _SMALLEST_P)
    votes = [p if one == "atypical" else 1 - p for one in answers.values() if one in _VOTES]
    return float(-np.log(votes).mean()) if votes else 0.0


_VOTES = ("atypical", "normal")


def _predict(predictor: Predictor, study: Study, on_progress: OnProgress) -> pd.DataFrame:
    (source,) = open_sources(study.table)
    frames, done = [], 0
    for scored in predictor.stream(source.figures()):
        frames.append(scored.frame)
        done += len(scored.frame) + len(scored.failures)
        on_progress("predicting", done, len(source), "")
    return pd.concat(frames).set_index("figure_id")


def _in_words(figure: str, answers: Mapping[str, Mapping[str, Answer]]) -> str:
    given = ((name, own[figure]) for name, own in answers.items() if figure in own)
    return ", ".join(f"{name} {IN_WORDS[answer]}" for name, answer in given)
