"""The options of the verbs that classify: names, help and bounds of `PredictOptions`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.main import get_command

from atypia.cli.main import app
from atypia.cli.options import changed_flags
from atypia.inference.options import PredictOptions
from command import call


def test_a_value_out_of_range_is_named_as_it_was_typed(
    small_bundle: Path,
    crop_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for typed, message in (
        (("--members", "9"), "--members 9: small holds 1 to 2\n"),
        (("--threads", "0"), "--threads"),
        (("--prevalence", "0.2"), "--prevalence 0.2: the bundle does not say what share"),
        (("--runtime", "onnx", "--device", "cuda"), "--runtime onnx: runs on the CPU only"),
    ):
        assert call(monkeypatch, "predict", crop_folder, "--bundle", small_bundle, *typed) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["predict", "slide", "slides", "evaluate"])
def test_every_option_of_a_prediction_is_an_option_of_each_verb_that_classifies(verb: str) -> None:
    command = get_command(app).commands[verb]  # type: ignore[attr-defined]
    helps = {option.opts[0]: getattr(option, "help", None) for option in command.params}
    for name, field in PredictOptions.model_fields.items():
        assert helps[f"--{name.replace('_', '-')}"] == field.description


def test_only_options_that_were_changed_are_named_by_their_flags() -> None:
    assert changed_flags(PredictOptions()) == {}
    options = PredictOptions(batch_size=5, device="cpu")
    assert changed_flags(options) == {"--batch-size": 5, "--device": "cpu"}
