"""Sheets of answers from pages without a server: checked, merged once, refused as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from atypia.data.phantom import make_phantom
from atypia.errors import AtypiaError
from atypia.study.create import create_study
from atypia.study.sheets import collect, make_mark
from atypia.study.store import Ballot, LockedError
from atypia.study.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    cohort = make_phantom(tmp_path / "cohort", figures=30, domains=2, size_px=48)
    return create_study(cohort, tmp_path / "study", ["anna", "ben"], rule="all").study


def sheet_of(study: Study, expert: str = "anna", **changes: Any) -> dict[str, Any]:
    votes = [
        {
            "showing": one.id,
            "answer": "normal",
            "detail": "",
            "milliseconds": 1200,
            "request": f"request-{number}",
            "given": f"2026-11-28T10:00:{number:02d}+01:00",
            "mark": make_mark(study, one),
        }
        for number, one in study.upcoming(expert, 1000)
    ]
    sheet = {"format_version": 1, "study": study.id, "expert": expert, "finished": True}
    return {**sheet, "votes": votes, **changes}


def written(path: Path, sheet: object) -> Path:
    path.write_text(json.dumps(sheet), encoding="utf-8")
    return path


def test_a_sheet_counts_once_and_keeps_the_time_of_its_votes(study: Study, tmp_path: Path) -> None:
    path = written(tmp_path / "anna.json", sheet_of(study))
    done = collect(study, path)
    assert (done.expert, done.new, done.known, done.passed_over) == ("anna", 30, 0, 0)
    assert done.locked
    votes = study.store.votes("anna")
    assert votes[0].given == "2026-11-28T09:00:01.000+00:00"
    assert votes[0].milliseconds == 1200
    again = collect(study, path)
    assert (again.new, again.known) == (0, 30)
    assert len(study.store.votes("anna")) == 30
    assert "anna" in study.store.locked()


def test_votes_given_elsewhere_stand(study: Study, tmp_path: Path) -> None:
    sheet = sheet_of(study, finished=False)
    first = study.queue("anna")[0]
    study.vote("anna", [Ballot(first.id, "atypical", "served-1")], after=0)
    done = collect(study, written(tmp_path / "anna.json", sheet))
    assert (done.new, done.passed_over, done.locked) == (29, 1, False)
    assert study.answers("anna")[first.figure] == "atypical"


def test_a_part_of_a_sheet_is_no_end_and_a_later_one_adds_to_it(
    study: Study, tmp_path: Path
) -> None:
    sheet = sheet_of(study)
    part = {**sheet, "votes": sheet["votes"][:10]}
    done = collect(study, written(tmp_path / "part.json", part))
    assert (done.new, done.locked) == (10, False)
    done = collect(study, written(tmp_path / "all.json", sheet))
    assert (done.new, done.known, done.locked) == (20, 10, True)
    late = {**sheet, "votes": [{**sheet["votes"][0], "request": "request-late"}]}
    assert collect(study, written(tmp_path / "late.json", late)).passed_over == 1


def test_what_is_not_of_this_study_is_refused_as_a_whole(study: Study, tmp_path: Path) -> None:
    good = sheet_of(study)
    votes = good["votes"]
    bens = study.queue("ben")[0].id
    cases: list[tuple[object, str]] = [
        ({**good, "study": "0" * 24}, "is of another study"),
        ({**good, "expert": "carl"}, "is of 'carl', who is no expert of this study"),
        (
            {**good, "votes": [votes[0], {**votes[1], "showing": bens}]},
            "vote 2 is on a figure that",
        ),
        ({**good, "votes": [votes[0], {**votes[1], "mark": "0" * 24}]}, "vote 2 is on .* changed"),
        ({**good, "votes": [{**votes[0], "answer": "maybe"}]}, "votes.0.answer"),
        ({**good, "votes": [{**votes[0], "given": "yesterday"}]}, "votes.0.given.*is no time"),
        ({**good, "votes": [{**votes[0], "given": "2026-11-28T10:00"}]}, "has no time zone"),
        ({**good, "votes": [{**votes[0], "milliseconds": -1}]}, "votes.0.milliseconds"),
        ({**good, "more": 1}, "more: Extra inputs"),
        ({**good, "format_version": 2}, "format_version"),
        ([], "is no sheet of answers"),
        ({"votes": []}, "is no sheet of answers"),
    ]
    for sheet, problem in cases:
        with pytest.raises(AtypiaError, match=problem) as fault:
            collect(study, written(tmp_path / "bad.json", sheet))
        assert "\n" not in str(fault.value)
    for content in (b"", b"{", b"\xff\xfe\x00", b"[" * 100_000):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(AtypiaError, match="cannot be read as a sheet of answers"):
            collect(study, tmp_path / "bad.json")
    with pytest.raises(AtypiaError, match="cannot be read as a sheet"):
        collect(study, tmp_path / "nowhere.json")
    assert study.store.votes() == []


def test_a_figure_that_was_altered_since_is_refused(study: Study, tmp_path: Path) -> None:
    path = written(tmp_path / "anna.json", sheet_of(study))
    image = study.table.image_paths()[3]
    Image.new("RGB", (48, 48), "red").save(image)
    with pytest.raises(AtypiaError, match="whose image has changed since the page was written"):
        collect(study, path)
    assert study.store.votes() == []


def test_a_sheet_comes_too_late_once_the_study_is_closed(study: Study, tmp_path: Path) -> None:
    path = written(tmp_path / "anna.json", sheet_of(study))
    study.close(now=True)
    with pytest.raises(LockedError, match="the study is closed"):
        collect(study, path)
