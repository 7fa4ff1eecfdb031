"""Torch as it runs a bundle: precision, the memory of a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from atypia.bundle.load import load_bundle
from atypia.errors import AtypiaError
from atypia.inference.options import PredictOptions
from atypia.inference.runtimes.base import Outputs
from atypia.inference.runtimes.torch import TorchRuntime

FP32, BF16 = (PredictOptions(precision=one, device="cpu") for one in ("fp32", "bf16"))


def crops(count: int = 4) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_bf16_stays_close(small_bundle: Path) -> None:
    bundle = load_bundle(small_bundle)
    exact, rough = (
        TorchRuntime.load(bundle, options).infer(crops(16).numpy()) for options in (FP32, BF16)
    )
    assert np.abs(rough.logits - exact.logits).max() < 0.3 * exact.logits.std()


def test_a_batch_too_large_for_the_memory_is_halved(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = TorchRuntime.load(load_bundle(small_bundle), FP32)
    whole = runtime.infer(crops(7).numpy()).logits
    computed = runtime._infer_whole

    def short(batch: np.ndarray) -> Outputs:
        if len(batch) > 2:
            raise torch.OutOfMemoryError
        return computed(batch)

    monkeypatch.setattr(runtime, "_infer_whole", short)
    np.testing.assert_allclose(runtime.infer(crops(7).numpy()).logits, whole, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(runtime, "_infer_whole", lambda _: (_ for _ in ()).throw(_no_memory()))
    with pytest.raises(AtypiaError, match="not enough memory for one crop; use --device cpu"):
        runtime.infer(crops(2).numpy())


def _no_memory() -> Exception:
    return torch.OutOfMemoryError()
