"""The options of a prediction: one place for what is allowed, and for what is said of the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from atypia.errors import AtypiaError, OptionError
from atypia.inference.options import (
    PredictKeywords,
    PredictOptions,
    RuntimeKeywords,
    runtime_keys,
)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threads": 0}, "threads 0: expected 1 or more"),
        ({"members": -1}, "members -1: expected 1 or more"),
        ({"batch_size": "many"}, "batch_size 'many': expected 1 or more"),
        ({"prevalence": 1.0}, "prevalence 1.0: expected the share of atypical figures, above 0"),
        ({"prevalence": float("nan")}, "prevalence nan: expected the share of atypical figures"),
        ({"device": "tpu"}, "device 'tpu': expected one of 'auto', 'cpu' or 'cuda'"),
        ({"runtime": "onxx"}, "runtime 'onxx': expected one of 'auto', 'onnx', 'openvino' or"),
        ({"precision": "fp16"}, "precision 'fp16': expected one of 'auto', 'fp32' or 'bf16'"),
        ({"bundle": 3}, "bundle 3: expected the folder of a bundle"),
        ({"batchsize": 2}, "batchsize: is no option of a prediction; the options are bundle, "),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_with_what_was_expected(wrong: dict[str, Any], message: str) -> None:
    for make in (lambda: PredictOptions(**wrong), lambda: PredictOptions().updated(wrong)):
        with pytest.raises(AtypiaError) as caught:
            make()
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)


def test_an_unknown_option_offers_the_nearest() -> None:
    with pytest.raises(AtypiaError, match=r"; did you mean batch_size\?$"):
        PredictOptions().updated({"batchsize": 2})


def test_an_option_is_named_as_it_is_typed_on_the_command_line() -> None:
    with pytest.raises(OptionError) as caught:
        PredictOptions(batch_size=0)
    assert caught.value.typed == "--batch-size 0: expected 1 or more"


def test_options_are_a_value() -> None:
    options = PredictOptions(bundle="b", threads=2)
    assert options.bundle == Path("b")
    assert {options, PredictOptions(bundle=Path("b"), threads=2)} == {options}
    assert options.changed == {"bundle": Path("b"), "threads": 2}
    assert options.updated({"threads": 3}).changed == {"bundle": Path("b"), "threads": 3}
    assert options.updated({"threads": None}).changed == {"bundle": Path("b")}
    with pytest.raises(Exception, match="frozen"):
        options.threads = 3  # type: ignore[misc]


def test_every_option_has_its_help() -> None:
    for name, field in PredictOptions.model_fields.items():
        assert field.description, name


def test_keywords_are_the_options() -> None:
    """Editors and type checkers offer what `PredictOptions` takes, no more and no less."""
    options = {name: field.annotation for name, field in PredictOptions.model_fields.items()}
    keywords = get_type_hints(PredictKeywords)
    assert set(keywords) == set(options)
    assert set(get_type_hints(RuntimeKeywords)) == set(options) - {"bundle"}
    for name, annotation in options.items():
        assert set(get_args(annotation)) <= set(get_args(keywords[name])), name


def test_a_runtime_is_an_option_by_being_there() -> None:
    assert get_args(PredictOptions.model_fields["runtime"].annotation) == ("auto", *runtime_keys())
    assert {"torch", "onnx", "openvino"} <= set(runtime_keys())


def test_options_need_nothing_heavy() -> None:
    code = (
        "import sys, atypia.inference.options;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'numpy')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
