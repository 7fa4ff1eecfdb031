"""What another program, or half a disk, has left for a slide's state counts as none."""

from __future__ import annotations

from pathlib import Path

import pytest

from atypia.workflows.slide_state import read_state


@pytest.mark.parametrize(
    "text",
    ['{"inputs": {}, "seconds": 1e999}', '{"inputs": {}, "seconds": NaN}', "[", "\ufeff{}", ""],
)
def test_a_state_that_could_not_be_written_back_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(text, encoding="utf-8")
    assert read_state(path) is None
