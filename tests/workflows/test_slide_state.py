"""What another program, or half a disk, has left for a slide's state counts as none."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from atypia.workflows.slide_state import SlideState, read_state, write_state


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
