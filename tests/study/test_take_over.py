"""A new study takes the votes of an earlier one over, where experts and images are the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable
from atypia.study.create import create_study
from atypia.study.store import Ballot
from atypia.study.study import Study
from atypia.study.take_over import take_over
from command import call


@pytest.fixture
def cohort(tmp_path: Path) -> FigureTable:
    return make_phantom(tmp_path / "cohort", figures=60, domains=2, size_px=48)


def test_votes_that_stand_come_with_their_times_and_repeats_come_again(
    cohort: FigureTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    names = ["anna", "ben"]
    earlier = create_study(cohort, tmp_path / "earlier", names, rule="all", asks_detail=True).study
    ballots = [
        Ballot(one.id, "atypical" if number % 2 else "normal", f"anna-{number}", milliseconds=700)
        for number, one in earlier.upcoming("anna", 1000)
    ]
    ballots[1:2] = [replace(ballots[1], answer="atypical", detail="multipolar")]
    change = earlier.vote("anna", ballots, after=0)
    earlier.undo("anna", request="undo-1", after=change)
    image = earlier.table.image_paths()[5]
    changed = earlier.table.frame["figure_id"].iloc[5]
    Image.new("RGB", (48, 48), "red").save(
        cohort.root / image.relative_to(earlier.folder / "images")
    )
    fewer = replace(cohort, frame=cohort.frame.iloc[:40].reset_index(drop=True))
    fewer.frame.to_csv(cohort.root / "fewer.csv", index=False)
    new = ("vote", "new", cohort.root / "fewer.csv", "--experts", "anna,carl,ben")
    out = ("--out", tmp_path / "new", "--votes-of", earlier.folder)
    assert call(monkeypatch, *new, *out, "--rule", "all") == 0
    study = Study(tmp_path / "new")
    before, after = earlier.standing("anna"), study.standing("anna")
    expected = set(study.rows) & set(before) - {changed}
    assert set(after) == expected
    for figure in expected:
        assert after[figure].given == before[figure].given
        assert after[figure].answer == before[figure].answer
        assert after[figure].detail == ""  # the new study does not ask for it
    assert f"anna: {len(expected)} votes taken over" in capsys.readouterr().out
    assert take_over(study, earlier)[0].votes == 0  # twice is once
    assert study.standing("carl") == study.standing("ben") == {}


def test_an_arbiter_votes_after_the_others(cohort: FigureTable, tmp_path: Path) -> None:
    names = ["anna", "ben", "eva"]
    earlier = create_study(cohort, tmp_path / "earlier", names, rule="all").study
    first = earlier.queue("eva")[0]
    earlier.vote("eva", [Ballot(first.id, "normal", "eva-1")], after=0)
    study = create_study(cohort, tmp_path / "new", names).study
    taken = {one.expert: (one.votes, one.left_out) for one in take_over(study, earlier)}
    assert taken == {"anna": (0, 0), "ben": (0, 0), "eva": (0, 1)}
