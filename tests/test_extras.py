"""Extras: the table of the code is that of the package, and what is missing is named."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

import atypia
from atypia import extras
from atypia.cli.main import run
from atypia.errors import AtypiaError
from atypia.extras import EXTRAS, missing_extra, require_extra

PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]


def names_of(requirements: list[str]) -> set[str]:
    words = {re.split(r"[\[<>=;\s]", one)[0].lower().replace("_", "-") for one in requirements}
    return words - {"atypia"}


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_the_modules_that_it_is_said_to_bring(extra: str) -> None:
    wanted = names_of(PROJECT["optional-dependencies"][extra])
    distributions = packages_distributions()
    for module in EXTRAS[extra]:
        assert find_spec(module) is not None
        found = {name.lower().replace("_", "-") for name in distributions[module]}
        assert found & wanted, f"{module} is in {found}"
    assert not wanted & names_of(PROJECT["dependencies"]) - {"tifffile"}


def test_every_extra_for_users_is_in_the_table() -> None:
    assert set(EXTRAS) == set(PROJECT["optional-dependencies"]) - {"dev", "fuzz"}


def test_what_is_missing_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    require_extra("parquet", "p.parquet: a Parquet table")
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(AtypiaError) as caught:
        require_extra("parquet", "p.parquet: a Parquet table")
    assert str(caught.value) == (
        "p.parquet: a Parquet table needs pyarrow, which is not installed; "
        "pip install 'atypia[parquet]'"
    )


def test_a_fault_that_no_extra_mends_is_left_as_it_is() -> None:
    assert missing_extra(ModuleNotFoundError(name="atypia.nowhere"), "it") is None
    assert missing_extra(ModuleNotFoundError("no name"), "it") is None
    found = missing_extra(ModuleNotFoundError(name="torch.onnx._missing"), "atypia train")
    assert str(found) == (
        "atypia train needs torch, which is not installed; pip install 'atypia[train]'"
    )


def test_in_python_and_at_the_command_line_an_import_that_fails_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atypia.workflows.embed", None)
    with pytest.raises(ModuleNotFoundError):  # atypia's own: a broken installation
        atypia.embed  # noqa: B018
    monkeypatch.delitem(sys.modules, "atypia.workflows.embed")
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in list(sys.modules):
        if name.startswith(("atypia.training", "atypia.models")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "argv", ["atypia", "recipes", "show", "lite"])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "atypia recipes show needs torch, which is not installed; pip install 'atypia[train]'\n"
    )
