"""What all runtimes share: joined outputs, workers, and whether they are installed."""

from __future__ import annotations

import numpy as np
import pytest

from atypia.inference.runtimes.base import Outputs, join_outputs
from atypia.inference.runtimes.onnx import OnnxRuntime


def outputs(*columns: float, phase: bool = True) -> Outputs:
    row = np.array(columns, dtype=np.float32)
    return Outputs(np.stack([row, row + 10]), np.stack([row, 1 - row], axis=1) if phase else None)


def test_parts_of_a_batch_are_joined_figure_by_figure() -> None:
    joined = join_outputs([outputs(0.1), outputs(0.2, 0.3)])
    expected = outputs(0.1, 0.2, 0.3)
    np.testing.assert_array_equal(joined.logits, expected.logits)
    assert joined.phase is not None and expected.phase is not None
    np.testing.assert_array_equal(joined.phase, expected.phase)
    assert join_outputs([outputs(0.1, phase=False)] * 2).phase is None


@pytest.mark.parametrize(
    ("on_gpu", "threads", "workers"), [(False, 1, 1), (False, 3, 3), (False, 64, 4), (True, 64, 1)]
)
def test_a_gpu_takes_one_batch_at_a_time_and_a_cpu_a_few(
    on_gpu: bool, threads: int, workers: int
) -> None:
    runtime = OnnxRuntime.__new__(OnnxRuntime)
    runtime.on_gpu, runtime.threads = on_gpu, threads  # type: ignore[misc]
    assert runtime.workers == workers


def test_a_runtime_is_installed_if_all_its_modules_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for modules, installed in (("json",), True), (("json", "no_such_module"), False):
        monkeypatch.setattr(OnnxRuntime, "modules", modules)
        assert OnnxRuntime.is_installed() is installed
