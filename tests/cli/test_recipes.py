"""`atypia recipes`: what is listed and shown can be used."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from atypia.cli.main import app
from atypia.training.recipe_file import recipe_files


def _output(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["recipes", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_each_recipe_is_listed_with_its_backbone_and_crop() -> None:
    lines = _output("list").splitlines()
    assert [line.split()[0] for line in lines] == list(recipe_files())
    assert any("lite, lora, 16 um in 128 px, 12 epochs, 5 folds" in line for line in lines)


def test_a_shown_recipe_can_be_given_back(tmp_path: Path) -> None:
    text = _output("show", "lite", "--set", "schedule.epochs=3")
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    assert _output("show", tmp_path / "mine.toml") == text
    assert "epochs = 3" in text
