"""Every runtime of prediction on this machine, as ratios in one run.

python benchmarks/runtimes.py BUNDLE FOLDER [FIGURES]

BUNDLE must have been exported (`atypia bundle export BUNDLE --to onnx`). FOLDER holds images; where
they lie in `normal/` and `atypical/` and the bundle was not trained on them, the balanced accuracy
that each runtime and precision keeps is worth reading. The reference is the network as timm has it:
eager, float32, in batches, with all CPU threads inside each layer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import atypia
from atypia.bundle.load import load_bundle
from atypia.data.images import IMAGE_SUFFIXES, read_image
from atypia.inference.answers import Precision, RuntimeKey
from atypia.inference.exported import exported_path
from atypia.inference.opening import network_threads
from atypia.inference.predictor import CPU_BATCH
from atypia.inference.reading import CropSpec, crop_of, stacked

RUNTIMES: tuple[tuple[RuntimeKey, Precision], ...] = (
    ("torch", "fp32"),
    ("torch", "bf16"),
    ("onnx", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
)
ROUNDS = 2  # the better one counts: whatever else runs here only takes time
BATCHES = 8


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    bundle, folder = Path(sys.argv[1]), Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    every = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    paths = [every[at] for at in np.linspace(0, len(every) - 1, min(count, len(every)), dtype=int)]
    truth = np.array([path.parent.name.lower() == "atypical" for path in paths])
    loaded = load_bundle(bundle)
    manifest, plain = loaded.manifest, [member.eval() for member in loaded.members]
    mpp, side = manifest.assumed_mpp, manifest.input_px
    spec = CropSpec(manifest.crop_um, side, mpp)
    ready = np.random.default_rng(0).random((CPU_BATCH, 3, side, side), dtype=np.float32)

    def eager(crops: np.ndarray) -> torch.Tensor:
        with torch.inference_mode():
            return torch.stack([member(torch.from_numpy(crops)).logit for member in plain])

    def eager_from_files() -> np.ndarray:
        logits = [
            eager(stacked([crop_of(read_image(p), mpp, spec) for p in paths[at : at + CPU_BATCH]]))
            for at in range(0, len(paths), CPU_BATCH)
        ]
        return loaded.calibration.probability(torch.cat(logits, dim=1).numpy().mean(axis=0))

    p: dict[str, np.ndarray] = {}
    tensors: dict[str, float] = {}
    files: dict[str, float] = {}

    def keep(name: str, on_tensors: Callable[[], object], from_files: Callable[[], object]) -> None:
        rate = BATCHES * CPU_BATCH / seconds(on_tensors)
        tensors[name] = max(tensors.get(name, 0.0), rate)
        rate = len(paths) / seconds(lambda: p.update({name: np.asarray(from_files())}))
        files[name] = max(files.get(name, 0.0), rate)

    predictors = {
        f"{key} {precision}": atypia.load(bundle, device="cpu", runtime=key, precision=precision)
        for key, precision in RUNTIMES
    }
    reference = "eager timm fp32"
    for _ in range(ROUNDS):
        eager(ready)
        keep(reference, lambda: [eager(ready) for _ in range(BATCHES)], eager_from_files)
        for name, one in predictors.items():
            network, workers = one.network, network_threads(one.threads, False)
            with network.pool(workers) as pool:
                list(pool.map(network.look_at, [ready] * workers))
                keep(
                    name,
                    lambda pool=pool, network=network: list(
                        pool.map(network.look_at, [ready] * BATCHES)
                    ),
                    lambda one=one: one.predict(paths, mpp=mpp)["p_atypical"],
                )

    threads = next(iter(predictors.values())).threads
    print(
        f"{manifest.name}: {len(plain)} members, {side} px; {len(paths)} crops, {threads} threads; "
        f"exported file {exported_path(bundle).stat().st_size / 1e6:.1f} MB"
    )
    print(f"{'':<18}{'ready tensors':>22}{'from files':>22}{'largest |P - eager|':>22}  bal. acc.")
    for name, rate in tensors.items():
        called = loaded.calibration.call(p[name])
        shares = [np.mean(called[truth == value] == value) for value in (False, True)]
        print(
            f"{name:<18}{rate:9.0f}/s  x {rate / tensors[reference]:6.2f}"
            f"{files[name]:11.0f}/s  x {files[name] / files[reference]:6.2f}"
            f"{np.abs(p[name] - p[reference]).max():22.5f}"
            f"  {np.mean(shares) if truth.any() and not truth.all() else np.nan:.4f}"
        )
    print("cold start: `atypia predict` of one image, from process start to its end")
    for key in ("torch", "onnx", "openvino"):
        print(f"{key:<18}{cold_start(bundle, paths[0], mpp, key):8.2f} s")


def cold_start(bundle: Path, image: Path, mpp: float, runtime: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "atypia", "predict", str(image), "--bundle", str(bundle)]
        command += ["--mpp", f"{mpp:g}", "--runtime", runtime, "--device", "cpu"]
        command += ["--out", str(Path(folder) / "predictions.csv")]
        return min(
            seconds(
                lambda: subprocess.run(command, check=True, capture_output=True, env=os.environ)
            )
            for _ in range(ROUNDS)
        )


if __name__ == "__main__":
    main()
