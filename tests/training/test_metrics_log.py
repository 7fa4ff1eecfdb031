"""The record of a training is gone on with, whatever a kill has left of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from atypia.training.metrics_log import MetricsLog

WHOLE = '{"step": 1, "loss": 0.5}\n'


@pytest.mark.parametrize(
    "left",
    [b'{"step": 2, "lo', b"\xff}", b"}", b"[]", b'{"step": []}', b'{"a": 1}', b'{"step": 9}', b""],
)
def test_what_is_no_line_of_an_earlier_step_is_forgotten(tmp_path: Path, left: bytes) -> None:
    record = tmp_path / "metrics.jsonl"
    record.write_bytes(WHOLE.encode() + left)
    metrics_log = MetricsLog(tmp_path, 5)
    metrics_log.write(6, {"loss": 0.25})
    metrics_log.close()
    assert record.read_text() == WHOLE + '{"step": 6, "loss": 0.25}\n'
