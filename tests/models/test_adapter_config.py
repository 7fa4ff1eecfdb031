"""The section `adapter`: what it refuses, and what each kind trains and a bundle must hold."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from atypia.models.adapter_config import AdapterConfig


@pytest.mark.parametrize(
    ("kind", "trains", "keeps"),
    [("full", True, True), ("lora", True, False), ("linear", False, False)],
)
def test_a_kind_says_what_is_trained_and_what_a_bundle_holds(
    kind: str, trains: bool, keeps: bool
) -> None:
    config = AdapterConfig(kind=kind)  # type: ignore[arg-type]
    assert (config.trains_backbone, config.keeps_backbone) == (trains, keeps)


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "prompt"}, {"rank": 0}, {"rank": 1025}, {"alpha": 0}, {"dropout": 1.0}, {"ranks": 8}],
    ids=str,
)
def test_a_faulty_value_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        AdapterConfig.model_validate(wrong)
