"""`atypia data phantom`: writes a cohort and says where."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from atypia.cli.main import app
from atypia.data.table import read_table


def test_the_verb_says_where_it_wrote(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    done = CliRunner().invoke(app, ["data", "phantom", str(out), "--figures", "6", "--seed", "2"])
    assert done.exit_code == 0, done.output
    assert str(out / "figures.csv") in done.output.replace("\n", "")
    assert len(read_table(out / "figures.csv")) == 6
