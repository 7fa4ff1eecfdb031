"""OpenVINO in bf16."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from atypia.bundle.load import load_bundle
from atypia.inference.options import PredictOptions
from atypia.inference.runtimes.openvino import OpenVinoRuntime
from atypia.inference.runtimes.torch import TorchRuntime
from atypia.models.cpu import cpu_has_bf16


def test_bf16_errs_as_torch_does_in_bf16(exported_copy: Path) -> None:
    bundle = load_bundle(exported_copy)
    crops = np.random.default_rng(16).random((16, 3, 32, 32), dtype=np.float32)
    rough_options = PredictOptions(precision="bf16", threads=1, device="cpu")
    exact_options = PredictOptions(precision="fp32", threads=1, device="cpu")
    exact, rough = (
        OpenVinoRuntime.load(bundle, options).infer(crops).logits
        for options in (exact_options, rough_options)
    )
    reference = TorchRuntime.load(bundle, rough_options).infer(crops).logits
    usual = np.sqrt(np.mean((reference - exact) ** 2))
    error = np.sqrt(np.mean((rough - exact) ** 2))
    assert error < 1.5 * usual
    if cpu_has_bf16():  # else it may compute in float32
        assert error > 0.1 * usual
