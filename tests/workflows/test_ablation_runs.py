"""The record of an ablation's runs: read whatever a kill left, matched by what decides a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from atypia.errors import AtypiaError
from atypia.training.recipe import Recipe
from atypia.workflows.ablation_runs import (
    PlannedRun,
    RunLine,
    append_run,
    flat_recipe,
    match_runs,
    mend_last_line,
    read_runs,
)

RECIPE = flat_recipe(Recipe())


def _line(fold: int = 0, **changes: object) -> RunLine:
    values = {
        "arm": "plain",
        "seed": 0,
        "fold": fold,
        "left_out": "a",
        "recipe": RECIPE,
        "figures": "f",
        "images": "i",
        "seconds": 1.5,
        "threads": 1,
        "device": "cpu",
        "precision": "32-true",
        "torch": "2",
        "atypia": "0",
        "probe": None,
        "left_out_logit": [0.5, -1.0],
        "held_out_logit": [0.25],
    }
    return RunLine.model_validate(values | changes)


def _match(line: RunLine, **changes: object) -> bool:
    values = {
        "recipe": RECIPE,
        "figures": ("f", "earlier"),
        "images": "i",
        "left_out": 2,
        "held_out": 1,
        "weights_sha256": None,
    }
    run = PlannedRun(**(values | changes))
    matched, other = match_runs([line], {line.key: run}, Path("runs.jsonl"))
    assert len(matched) + other == 1
    return bool(matched)


def test_lines_are_read_back_as_they_were_appended(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    assert read_runs(path) == []
    lines = [_line(0), _line(1, probe={"before": 0.5})]
    for line in lines:
        append_run(path, line)
    assert read_runs(path) == lines


def test_a_last_line_that_a_kill_has_cut_is_passed_over_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    append_run(path, _line(0))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-100])
    assert read_runs(path) == [_line(0)]
    mend_last_line(path)
    assert path.read_bytes() == whole
    path.write_bytes(whole[:-1])  # whole, but for the end of its line
    mend_last_line(path)
    append_run(path, _line(1))
    assert read_runs(path) == [_line(0), _line(1)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('{"arm"', '"arm"', "line 2: is damaged"),
        ('"seconds":1.5', '"seconds":"long"', r"line 2: is damaged \(seconds"),
        ('"seconds":1.5,', "", r"line 2: is damaged \(seconds"),
        ("[0.25]", "[NaN]", r"line 2: is damaged"),
    ],
)
def test_a_damaged_line_is_refused_by_its_number(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "runs.jsonl"
    text = _line().model_dump_json()
    path.write_text(f"{text}\n{text.replace(old, new)}\n")
    with pytest.raises(AtypiaError, match=message) as refused:
        read_runs(path)
    assert str(path) in str(refused.value)


def test_a_line_with_another_number_of_scores_is_refused() -> None:
    with pytest.raises(AtypiaError, match=r"line 1: holds 1 and 1 scores .* expected 2 and 1"):
        _match(_line(left_out_logit=[0.5]))


def test_a_line_matches_by_recipe_figures_images_and_weights() -> None:
    assert _match(_line())
    assert _match(_line(figures="earlier"))  # as earlier versions hashed the table
    assert not _match(_line(figures="other"))
    assert not _match(_line(images="other"))
    assert _match(_line(images="other"), images=None)  # not at hand
    assert _match(_line(images=""))  # of a version that did not hash them
    assert not _match(_line(weights_sha256="0"), weights_sha256="1")
    assert not _match(_line(recipe=RECIPE | {"schedule.epochs": 99}))


def test_a_key_that_came_into_the_recipe_later_agrees_at_its_default() -> None:
    fewer = {key: value for key, value in RECIPE.items() if key != "ema.decay"}
    assert _match(_line(recipe=fewer))
    assert not _match(_line(recipe=fewer), recipe=RECIPE | {"ema.decay": 0.5})


def test_of_two_lines_of_a_run_the_last_counts() -> None:
    lines = [_line(seconds=1), _line(seconds=2)]
    run = PlannedRun(RECIPE, ("f",), "i", 2, 1, None)
    matched, other = match_runs(lines, {lines[0].key: run}, Path("runs.jsonl"))
    assert matched[lines[0].key].seconds == 2
    assert other == 0
