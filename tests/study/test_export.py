"""The export: a table to train on, every vote, and what a paper's methods need."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.phantom import make_phantom
from atypia.data.readers.open_figures import open_figures
from atypia.data.table import FigureTable
from atypia.data.votes import hard_labels, soft_labels
from atypia.errors import AtypiaError
from atypia.study.answers import Answer
from atypia.study.create import create_study
from atypia.study.export import export, make_voted_frame
from atypia.study.store import Ballot
from atypia.study.study import Study

EXPERTS = ("anna", "ben", "eva")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    return make_phantom(tmp_path_factory.mktemp("cohort"), figures=30, domains=2, size_px=48)


def vote_all(study: Study, answers: dict[str, dict[str, Answer]]) -> None:
    """Let experts vote as given, by figure; one without an answer cannot tell."""
    for name in study.settings.experts:
        given = answers[name]
        ballots = [
            Ballot(one.id, given.get(one.figure, "unsure"), f"{name}-{number}", milliseconds=900)
            for number, one in study.upcoming(name, 100_000)
        ]
        study.vote(name, ballots, after=0)
        study.lock(name)
    study.close()


def test_the_table_holds_votes_and_its_companions_the_rest(
    cohort: FigureTable, tmp_path: Path
) -> None:
    study = create_study(cohort, tmp_path / "study", EXPERTS, rule="all").study
    ids = list(study.table.frame["figure_id"])
    answers: dict[str, dict[str, Answer]] = {name: dict.fromkeys(ids, "normal") for name in EXPERTS}
    answers["anna"][ids[0]] = answers["ben"][ids[0]] = "none"
    answers["anna"][ids[1]] = "atypical"
    del answers["eva"][ids[2]]
    with pytest.raises(AtypiaError, match="votes are exported once the study is closed"):
        export(study, tmp_path / "out" / "voted.csv")
    vote_all(study, answers)
    done = export(study, tmp_path / "out" / "voted.csv")
    assert (done.figures, done.none, done.unsure) == (29, (ids[0],), 1)
    frame = open_figures(tmp_path / "out" / "voted.csv").frame.set_index("figure_id")
    assert frame.loc[ids[1], ["vote_anna", "vote_ben", "vote_eva"]].tolist() == [1, 0, 0]
    assert np.isnan(frame.loc[ids[2], "vote_eva"])
    assert ids[0] not in frame.index
    rows = pd.read_csv(tmp_path / "out" / "votes.csv")
    assert len(rows) == 90
    assert set(rows["expert"]) == set(EXPERTS)
    about = json.loads((tmp_path / "out" / "study.json").read_text())
    assert about["rule"] == "all"
    assert about["closed"] == study.closed
    assert about["no_mitotic_figure"] == [ids[0]]
    assert about["votes"]["eva"]["answers"] == {"cannot tell": 1, "normal": 29}
    assert about["votes"]["eva"]["minutes"] == pytest.approx(30 * 0.9 / 60, abs=0.06)


def test_it_lies_in_the_study_or_elsewhere_and_replaces_nothing_of_the_users(
    cohort: FigureTable, tmp_path: Path
) -> None:
    study = create_study(cohort, tmp_path / "study", ["anna"], rule="all").study
    vote_all(study, {"anna": {}})
    own = (study.folder / "study.json").read_bytes()
    table = (study.folder / "figures.csv").read_bytes()
    done = export(study, study.folder / "voted.csv")
    assert [path.name for path in done.files] == ["voted.csv", "votes.csv", "voted.study.json"]
    assert len(open_figures(study.folder / "voted.csv").image_paths()) == 30
    with pytest.raises(AtypiaError, match=r"figures\.csv: is an input of this run"):
        export(study, study.folder / "figures.csv", overwrite=True)
    assert (study.folder / "study.json").read_bytes() == own
    assert (study.folder / "figures.csv").read_bytes() == table
    elsewhere = tmp_path / "mine"
    elsewhere.mkdir()
    (elsewhere / "votes.csv").write_text("mine")
    with pytest.raises(AtypiaError, match=r"votes\.csv: was not written by atypia"):
        export(study, elsewhere / "voted.csv")
    assert sorted(path.name for path in elsewhere.iterdir()) == ["votes.csv"]
    export(study, elsewhere / "voted.csv", overwrite=True)
    export(study, elsewhere / "voted.csv")  # its own files it may replace


@pytest.mark.parametrize("name", ["ami_br", "atnorm_md"])
def test_real_votes_come_back_as_the_soft_labels_that_their_readers_give(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    table = open_figures(request.getfixturevalue(name))
    rows = np.random.default_rng(0).permutation(len(table))[:300]
    table = FigureTable(table.frame.iloc[np.sort(rows)].reset_index(drop=True), table.root)
    names = [column.removeprefix("vote_") for column in table.frame if column.startswith("vote_")]
    words: dict[float, Answer] = {1.0: "atypical", 0.0: "normal"}
    answers = {
        name: {
            figure: words[vote]
            for figure, vote in zip(
                table.frame["figure_id"], table.frame[f"vote_{name}"], strict=True
            )
            if vote in words
        }
        for name in names
    }
    study = create_study(table, tmp_path / "study", names, rule="all").study
    vote_all(study, answers)
    export(study, tmp_path / "out" / "voted.csv")
    voted = open_figures(tmp_path / "out" / "voted.csv").frame
    for method in ("fraction", "majority", "dawid-skene"):
        np.testing.assert_array_equal(
            soft_labels(voted, method),
            soft_labels(table.frame.assign(label=np.nan), method),
        )


def test_two_and_one_on_amibr_gives_the_majority_of_its_three_experts(
    ami_br: Path, tmp_path: Path
) -> None:
    table = open_figures(ami_br)
    rows = np.random.default_rng(1).permutation(len(table))[:400]
    frame = table.frame.iloc[np.sort(rows)].reset_index(drop=True)
    names = [column.removeprefix("vote_") for column in frame if column.startswith("vote_")]
    assert len(names) == 3
    study = create_study(FigureTable(frame, table.root), tmp_path / "study", names).study
    words: dict[float, Answer] = {1.0: "atypical", 0.0: "normal"}
    vote_all(
        study,
        {
            name: dict(
                zip(frame["figure_id"], map(words.get, frame[f"vote_{name}"]), strict=True)  # type: ignore[arg-type]
            )
            for name in names
        },
    )
    voted, none = make_voted_frame(study)
    assert none == []
    np.testing.assert_array_equal(hard_labels(voted), hard_labels(frame))
    arbiters = voted[f"vote_{names[2]}"].notna().sum()
    disputed = (frame[f"vote_{names[0]}"] != frame[f"vote_{names[1]}"]).sum()
    assert disputed <= arbiters < len(frame)
