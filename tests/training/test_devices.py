"""A training computes in what the device is fast at."""

from __future__ import annotations

import pytest

from atypia.training import devices
from atypia.training.devices import open_fabric, read_precision
from atypia.training.recipe import Precision, ScheduleSection


@pytest.mark.parametrize(
    ("asked", "has_bf16", "computed"),
    [
        ("bf16-mixed", True, "bf16-mixed"),
        ("bf16-mixed", False, "32-true"),
        ("32-true", True, "32-true"),
        ("32-true", False, "32-true"),
    ],
)
def test_a_cpu_without_bf16_computes_in_float32(
    monkeypatch: pytest.MonkeyPatch,
    asked: Precision,
    has_bf16: bool,
    computed: str,
) -> None:
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: has_bf16)
    fabric = open_fabric("cpu", ScheduleSection(precision=asked))
    assert read_precision(fabric) == computed
