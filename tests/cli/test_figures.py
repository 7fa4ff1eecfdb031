"""The options that name figures: columns under other names, notes, and several sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from atypia.cli.data import app
from atypia.errors import AtypiaError

run = CliRunner().invoke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two normal crops and an atypical one; these tests read no pixel."""
    for name in ("normal/1.png", "normal/2.png", "atypical/3.png"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "data"


@pytest.mark.parametrize("column", ["label", "label=", "=x", "label=a --column label=b"])
def test_a_mapping_out_of_shape_is_wrong_usage(folder: Path, column: str) -> None:
    arguments = ["check", str(folder), "--column", *column.split()]
    result = run(app, arguments)
    assert isinstance(result.exception, AtypiaError) and result.exception.exit_code == 2
    assert "--column label" in str(result.exception) or "=x" in str(result.exception)


def test_notes_of_a_table_go_to_stderr(folder: Path) -> None:
    (folder / "t.csv").write_text(
        "figure_id,image,mpp\na,normal/1.png,0.5\nb,atypical/3.png,\nc,normal/2.png,0.5\n"
    )
    told = run(app, ["describe", str(folder / "t.csv"), "--mpp", "0.25"])
    assert told.exit_code == 0 and "mpp 0.25 fills 1 figure" in told.stderr
    assert "fills" not in told.stdout


def test_a_column_that_is_named_and_absent_is_told_with_the_nearest(folder: Path) -> None:
    (folder / "t.csv").write_text("figure_id,picture\na,normal/1.png\n")
    result = run(app, ["check", str(folder / "t.csv"), "--column", "image=pictures"])
    assert "'pictures' (for image) is missing; the columns are figure_id" in str(result.exception)
    assert "; did you mean picture?" in str(result.exception)
    assert run(app, ["describe", str(folder / "t.csv"), "--column", "image=picture"]).exit_code == 0


def test_names_of_several_sources_are_shown_and_each_note_names_its_own(tmp_path: Path) -> None:
    for name in ("own", "public"):
        (tmp_path / f"{name}.csv").write_text(
            f"figure_id,image,slide,mpp\na,{name}-a.png,s1,0.5\nb,{name}-b.png,s2,\n"
        )
    sources = [str(tmp_path / "own.csv"), str(tmp_path / "public.csv")]
    result = run(app, ["describe", *sources, "--mpp", "0.25"])
    assert result.exit_code == 0, result.output
    assert f"{sources[0]} and {sources[1]}: 4 figures, 4 slides" in result.stdout
    assert "note: own: mpp 0.25 fills 1 figure" in result.stderr
    assert "note: public: mpp 0.25 fills 1 figure" in result.stderr
