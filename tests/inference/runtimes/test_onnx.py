"""onnxruntime: fp32 alone, and threads that are shared between batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atypia.inference.options import PredictOptions
from atypia.inference.runtimes.onnx import OnnxRuntime


def test_it_computes_in_fp32_only(small_export: Path) -> None:
    assert OnnxRuntime.choose_precision(PredictOptions()) == "fp32"
    assert OnnxRuntime.choose_precision(PredictOptions(precision="bf16")) == "bf16"  # as asked
    with pytest.raises(ValueError, match="precision bf16: onnxruntime computes fp32 on a CPU"):
        OnnxRuntime(small_export.read_bytes(), "bf16", 1)


def test_batches_in_work_at_the_same_time_do_not_mix(small_export: Path) -> None:
    runtime = OnnxRuntime(small_export.read_bytes(), "fp32", 3)
    rng = np.random.default_rng(0)
    batches = [rng.random((count, 3, 32, 32), dtype=np.float32) for count in (1, 5, 2, 5, 1, 3)]
    with runtime.pool() as pool:
        results = list(pool.map(runtime.infer, batches))
    for batch, outputs in zip(batches, results, strict=True):
        assert outputs.logits.shape == (2, len(batch))
        assert outputs.phase is None
        np.testing.assert_allclose(outputs.logits, runtime.infer(batch).logits, atol=1e-5)
