"""A study from its start to its export: who votes on what, blind, and what comes of it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable, figures_from_frame
from atypia.errors import AtypiaError
from atypia.study.answers import Answer
from atypia.study.create import create_study
from atypia.study.export import list_votes, make_voted_frame
from atypia.study.store import Ballot, LockedError, StaleStateError
from atypia.study.study import NotYetError, Study

EXPERTS = ("anna", "ben", "eva")
Choose = Callable[[str], Answer]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    return make_phantom(tmp_path_factory.mktemp("cohort"), figures=80, domains=2, size_px=48)


def vote_all(study: Study, expert: str, choose: Choose, *, lock: bool = True) -> None:
    while (place := study.place(expert)).showing is not None:
        showing = place.showing
        answer = choose(showing.figure)
        study.vote(expert, [Ballot(showing.id, answer, showing.id)], after=place.change)
    if lock:
        study.lock(expert)


def test_two_vote_on_everything_and_the_arbiter_on_what_they_differ_in(
    cohort: FigureTable, tmp_path: Path
) -> None:
    new = create_study(cohort, tmp_path / "study", EXPERTS)
    study = new.study
    assert new.left_out == ()
    ids = list(study.table.frame["figure_id"])
    disputed, unsure = set(ids[:8]), set(ids[8:10])
    with pytest.raises(NotYetError, match=r"eva: .* are known once anna and ben locked"):
        study.place("eva")
    vote_all(study, "anna", lambda figure: "atypical" if figure in disputed else "normal")
    vote_all(study, "ben", lambda figure: "unsure" if figure in unsure else "normal", lock=False)
    with pytest.raises(NotYetError, match="known once ben locked"):
        study.queue("eva")
    study.lock("ben")
    shown = [one.figure for one in study.queue("eva") if not one.is_repeat]
    assert disputed | unsure <= set(shown)
    assert len(shown) == 10 + 2  # a fifth of all are agreed ones
    vote_all(study, "eva", lambda figure: "atypical")
    frame, none = make_voted_frame(study)
    assert none == []
    assert frame["vote_eva"].notna().sum() == 12
    assert frame.set_index("figure_id").loc[sorted(unsure), "vote_ben"].isna().all()
    voted = figures_from_frame(frame, study.table.root)
    assert list(voted.frame["figure_id"]) == ids
    rows = list_votes(study)
    assert len(rows) == sum(len(study.queue(name)) for name in EXPERTS)
    assert set(rows["expert"]) == set(EXPERTS)


def test_votes_that_were_replayed_come_out_as_they_went_in(
    cohort: FigureTable, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    study = create_study(cohort, tmp_path / "study", EXPERTS, rule="all", seed=3).study
    ids = list(study.table.frame["figure_id"])
    votes = pd.DataFrame(rng.integers(0, 2, (len(ids), 3)), index=ids, columns=EXPERTS)
    words: tuple[Answer, Answer] = ("normal", "atypical")
    for name in EXPERTS:
        vote_all(study, name, lambda figure, name=name: words[votes.loc[figure, name]])  # type: ignore[misc]
    frame, _ = make_voted_frame(study)
    for name in EXPERTS:
        assert list(frame[f"vote_{name}"]) == list(votes[name])
        assert all(one == other for one, other in study.repeated(name))
        assert len(study.repeated(name)) == sum(one.is_repeat for one in study.queue(name))


def test_a_figure_is_no_longer_shown_once_its_majority_cannot_change(
    cohort: FigureTable, tmp_path: Path
) -> None:
    study = create_study(cohort, tmp_path / "study", EXPERTS, rule="majority-of-3").study
    ids = list(study.table.frame["figure_id"])
    vote_all(study, "anna", lambda figure: "normal")
    vote_all(study, "ben", lambda figure: "atypical" if figure in ids[:5] else "normal")
    left = []

    def see(figure: str) -> Answer:
        left.append(figure)
        return "atypical"

    vote_all(study, "eva", see)
    shown = {figure for figure in left if left.count(figure) == 1}
    assert set(ids[:5]) <= set(left)
    repeats = {one.figure for one in study.queue("eva") if one.is_repeat}
    assert shown <= set(ids[:5]) | repeats


def test_two_of_three_take_a_figure_out(cohort: FigureTable, tmp_path: Path) -> None:
    study = create_study(cohort, tmp_path / "study", EXPERTS, rule="all").study
    out = study.table.frame["figure_id"].iloc[7]
    for name, answer in zip(EXPERTS, ("none", "none", "atypical"), strict=True):
        vote_all(study, name, lambda figure, said=answer: said if figure == out else "normal")  # type: ignore[misc, return-value]
    frame, none = make_voted_frame(study)
    assert none == [out]
    assert out not in set(frame["figure_id"])
    assert len(frame) == len(study.table) - 1


def test_a_study_holds_no_label_vote_or_phase_and_its_key_is_its_owners(
    cohort: FigureTable, tmp_path: Path
) -> None:
    assert cohort.frame["label"].notna().any() or any("vote_" in name for name in cohort.frame)
    study = create_study(cohort, tmp_path / "study", EXPERTS).study
    assert study.table.frame["label"].isna().all()
    assert not [name for name in study.table.frame if name.startswith("vote_")]
    assert set(study.table.frame["phase"]) == {""}
    key = tmp_path / "study" / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_bytes()) == 32
    # It stands on its own: its images are copies.
    assert all(path.is_relative_to(tmp_path / "study") for path in study.table.image_paths())


def test_it_goes_on_after_it_was_closed_and_two_that_are_open_see_the_same(
    cohort: FigureTable, tmp_path: Path
) -> None:
    study = create_study(cohort, tmp_path / "study", EXPERTS, rule="all").study
    first = study.place("anna")
    assert first.showing is not None
    study.vote("anna", [Ballot(first.showing.id, "normal", "r1")], after=first.change)
    again = Study(tmp_path / "study")
    place = again.place("anna")
    assert (place.number, place.change) == (2, 1)
    assert place == study.place("anna")
    assert place.showing is not None
    with pytest.raises(StaleStateError):
        again.vote("anna", [Ballot(place.showing.id, "normal", "r2")], after=first.change)
    with pytest.raises(AtypiaError, match="anna: has no such figure in the queue"):
        bens = again.queue("ben")[0].id
        again.vote("anna", [Ballot(bens, "normal", "r3")], after=place.change)
    with pytest.raises(AtypiaError, match="carl: is no expert of this study; its experts are anna"):
        again.place("carl")
    left = place.of - 1
    with pytest.raises(AtypiaError, match=f"anna: {left} of {place.of} figures have no vote yet"):
        again.lock("anna")
    vote_all(again, "anna", lambda figure: "normal")
    with pytest.raises(LockedError):
        study.vote("anna", [Ballot(first.showing.id, "normal", "r9")], after=place.of)


def test_what_cannot_be_a_study_is_a_line(cohort: FigureTable, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for folder in (tmp_path / "full", tmp_path / "full" / "mine.txt"):
        with pytest.raises(AtypiaError, match="is not an empty folder; choose a new one"):
            create_study(cohort, folder, EXPERTS)
    with pytest.raises(AtypiaError, match="study: rule 'most'"):
        create_study(cohort, tmp_path / "study", EXPERTS, rule="most")
    assert not (tmp_path / "study").exists()
    with pytest.raises(AtypiaError, match="cannot be read as the settings of a study"):
        Study(tmp_path / "full")
    study = create_study(cohort, tmp_path / "study", EXPERTS).study
    table = tmp_path / "study" / "figures.csv"
    table.write_text(table.read_text().replace("unknown", "other", 1) + "\n")
    with pytest.raises(AtypiaError, match="has changed since the study began, or is missing"):
        Study(study.folder)
    assert list(tmp_path.glob(".*partial*")) == []
