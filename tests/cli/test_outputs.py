"""`--overwrite`, the same for every verb that writes files."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from atypia.cli.main import app
from atypia.errors import AtypiaError

WRITING = ("ablate", "demo", "evaluate", "predict", "slide", "slides", "train")
WRITING_IN_GROUPS = (
    ("data", "import"),
    ("data", "phantom"),
    ("bundle", "export"),
    ("challenge", "midog25-t2"),
    ("vote", "page"),
    ("vote", "agree"),
    ("vote", "export"),
)


def test_every_verb_that_writes_has_it_with_the_same_help() -> None:
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    commands = [verbs[name] for name in WRITING]
    commands += [verbs[group].commands[name] for group, name in WRITING_IN_GROUPS]
    helps = [
        {option.help for option in command.params if "--overwrite" in option.opts}
        for command in commands
    ]
    assert len(set().union(*helps)) == 1
    assert all(helps)


def test_somebody_elses_file_is_replaced_only_with_it(tmp_path: Path) -> None:
    table = tmp_path / "figures.csv"
    table.write_text("mine")
    command = ["data", "phantom", str(tmp_path), "--figures", "3", "--size", "64"]
    with pytest.raises(AtypiaError, match=r"figures\.csv: was not written by atypia"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert table.read_text() == "mine"
    assert CliRunner().invoke(app, [*command, "--overwrite"]).exit_code == 0
    assert table.read_text().startswith("figure_id")
