"""The state of a slide: what decides that it is done, and states that are damaged."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from atypia.workflows import slide_state
from atypia.workflows.slide_state import SlideState, read_state, slide_inputs, write_state

SLIDE = ["/slides/s0.tif", 4711, 1700000000000000000]
# As 0.1.0 wrote it.
BEFORE: dict[str, Any] = {
    "atypia": "0.1.0",
    "bundle": "b" * 64,
    "members": 2,
    "precision": "fp32",
    "device": "auto",
    "batch_size": None,
    "runtime": "auto",
    "prevalence": None,
    "slide": SLIDE,
    "points": ["/slides/s0.geojson", "a" * 64],
    "mpp": None,
    "area_mm2": 0.5,
    "choice": {"names": [], "origin": "bounds", "object_type": None, "area_class": "Tumor"},
    "formats": ["geojson", "csv"],
    "pictures": True,
}


def inputs(**changes: object) -> dict[str, Any]:
    values: dict[str, Any] = {
        "bundle": "b" * 64,
        "options": {"members": 2, "precision": "fp32", "threads": 3, "bundle": Path("anywhere")},
        "choice": {"names": (), "origin": "bounds", "object_type": None, "area_class": "Tumor"},
        "slide": SLIDE,
        "points": "a" * 64,
        "mpp": None,
        "area_mm2": 0.5,
        "formats": ("geojson", "csv"),
        "pictures": True,
    }
    return slide_inputs(**(values | changes))


def kept(path: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs of a state that lies in a file."""
    path.write_text(json.dumps({"inputs": inputs, "files": ["s0.csv"]}), encoding="utf-8")
    state = read_state(path)
    assert state is not None
    return state.inputs


def test_a_state_of_the_release_before_agrees_if_nothing_else_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s0.json"
    assert kept(path, BEFORE) == inputs()
    assert kept(path, BEFORE | {"members": 1}) != inputs()
    assert kept(path, BEFORE | {"points": ["/slides/s0.geojson", "c" * 64]}) != inputs()
    for damaged in ({}, {"choice": None}, {"points": None}):
        assert kept(path, {"atypia": "0.1.0", "bundle": "", **damaged}) != inputs()
    monkeypatch.setattr(slide_state, "READING", 2)
    assert kept(path, BEFORE) != inputs()


@pytest.mark.parametrize(
    "changes",
    [
        {"bundle": "c" * 64},
        {"options": {"members": 2, "precision": "bf16"}},
        {"options": {"members": 2, "precision": "fp32", "prevalence": 0.2}},
        {"choice": {"names": ("Mitosis",), "origin": "bounds", "area_class": "Tumor"}},
        {"slide": [*SLIDE[:2], 1]},
        {"points": "c" * 64},
        {"mpp": 0.25},
        {"area_mm2": 0.6},
        {"formats": ("csv",)},
        {"pictures": False},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_changes_the_results_changes_the_inputs(changes: dict[str, Any]) -> None:
    assert inputs(**changes) != inputs()


def test_threads_places_of_bundles_and_defaults_decide_nothing() -> None:
    options = {
        "members": 2,
        "precision": "fp32",
        "threads": 8,
        "weights": Path("w"),
        "device": "auto",
    }
    choice = {"names": (), "area_class": "Tumor"}
    assert inputs(options=options, choice=choice) == inputs()


@pytest.mark.parametrize(
    "text",
    ['{"inputs": {}, "seconds": 1e999}', '{"inputs": {}, "seconds": NaN}', "[", "\ufeff{}", ""],
)
def test_a_state_that_could_not_be_written_back_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(text, encoding="utf-8")
    assert read_state(path) is None


def test_a_state_with_an_infinity_in_it_is_read_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(
        '{"inputs": {"options": {"mpp": 1e400}}, "counts": {"figures": 3, "atypical": '
        '1, "referred": 0, "failed": 0, "area_mm2": 1e400}}'
    )
    read = read_state(path)
    assert read is not None and read.inputs["options"]["mpp"] == math.inf
    write_state(tmp_path / "again.json", read)
    assert read_state(tmp_path / "again.json") == read


def test_a_state_may_name_files_whose_names_are_no_utf8(tmp_path: Path) -> None:
    state = SlideState(inputs={"\udcff": ["\udcff.tif"]}, fault="\udcff", failures=["ü\ud800"])
    write_state(tmp_path / "s.json", state)
    read = read_state(tmp_path / "s.json")
    assert read is not None
    assert read.inputs == {"\\udcff": ["\\udcff.tif"]}
    assert (read.fault, read.failures) == ("\\udcff", ["ü\\ud800"])
