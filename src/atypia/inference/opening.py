"""Which runtime computes a bundle: torch, or a faster one from the file exported beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from atypia.bundle.calibration import read_calibration
from atypia.bundle.manifest import BundleManifest, read_manifest
from atypia.bundle.verify import bundle_hash, require_intact
from atypia.errors import AtypiaError, BundleError
from atypia.evaluation.calibration import Calibration
from atypia.inference.answers import Device, Precision, Runtime, RuntimeKey
from atypia.inference.exported import (
    EXPORTED,
    exported_path,
    openvino_has_bf16,
    read_exported,
)

# Beyond this many Python is the bottleneck, so each network thread gets several cores.
_MOST_NETWORK_THREADS = 4
# Measured by benchmarks/speed.py: the fastest first. What bf16 costs in accuracy is measured by
# benchmarks/runtimes.py.
_FASTEST: dict[Literal["auto"] | Precision, tuple[tuple[str, Precision], ...]] = {
    "auto": (("openvino", "bf16"), ("onnx", "fp32"), ("openvino", "fp32")),
    "fp32": (("onnx", "fp32"), ("openvino", "fp32")),
    "bf16": (("openvino", "bf16"),),
}


@dataclass(frozen=True)
class Opened:
    """A bundle, and the runtime that computes its members.

    Attributes:
        manifest: of the bundle.
        calibration: of the bundle.
        sha256: identifies the bundle.
        network: its members.
        threads: of the CPU.
    """

    manifest: BundleManifest
    calibration: Calibration
    sha256: str
    network: Runtime
    threads: int


def open_bundle(
    folder: Path,
    *,
    runtime: RuntimeKey,
    device: Device,
    precision: Literal["auto"] | Precision,
    threads: int | None,
    members: int | None,
    weights: Path | None,
    warn: Callable[[str], object],
) -> Opened:
    """Open a bundle; every file of it is compared with its hash. Arguments: `Predictor.load`.

    Raises:
        BundleError: the bundle, or a file exported from it that is asked for, is at fault.
        AtypiaError: an argument is out of range or asks for what is not here.
    """
    if threads is not None and threads < 1:
        raise AtypiaError(f"threads {threads}: expected 1 or more")
    if runtime == "torch":
        return _with_torch(folder, device, precision, threads, members, weights)
    fault = _unfit(folder, device, weights)
    if runtime == "auto":
        if fault or (device == "auto" and _has_gpu()):
            return _with_torch(folder, device, precision, threads, members, weights)
    else:
        if fault:
            raise AtypiaError(f"runtime {runtime}: {fault}; or use --runtime torch")
        if not _installed(runtime):
            raise AtypiaError(
                f"runtime {runtime}: is not installed; pip install 'atypia[{runtime}]', or use "
                "--runtime torch"
            )
    fastest = [
        (key, chosen)
        for key, chosen in _FASTEST[precision]
        if runtime in ("auto", key)
        and _installed(key)
        # Nobody has asked for bf16 where it is slower than fp32.
        and (chosen in (precision, "fp32") or openvino_has_bf16())
    ]
    if not fastest and runtime == "auto":
        return _with_torch(folder, device, precision, threads, members, weights)
    if not fastest:
        raise AtypiaError(
            f"runtime {runtime}: does not compute {precision} on a CPU; use --precision fp32, or "
            "--runtime openvino"
        )
    key, chosen = fastest[0]
    require_intact(folder)
    sha256, manifest = bundle_hash(folder), read_manifest(folder)
    wanted = len(manifest.first_members(members))
    try:
        model = read_exported(exported_path(folder), sha256, wanted)
    except BundleError as caught:
        if runtime != "auto":
            raise
        warn(f"{caught}; torch is used instead")
        return _with_torch(folder, device, precision, threads, members, weights)
    count = threads or _usual_threads()
    network = EXPORTED[key](model, chosen, network_threads(count, False), count)
    return Opened(manifest, read_calibration(folder), sha256, network, count)


def network_threads(threads: int, on_gpu: bool) -> int:
    """Return how many threads look at batches, of so many of the CPU."""
    return 1 if on_gpu else min(threads, _MOST_NETWORK_THREADS)


def _with_torch(
    folder: Path,
    device: Device,
    precision: Literal["auto"] | Precision,
    threads: int | None,
    members: int | None,
    weights: Path | None,
) -> Opened:
    # Imported where it is needed: torch alone takes longer than a stack of crops.
    import torch

    from atypia.bundle.load import load_bundle
    from atypia.inference.runtime import Network, choose_device, fast_precision
    from atypia.models.cpu import keep_freed_memory

    where = choose_device(device)
    bundle = load_bundle(folder, weights, members)
    if where.type == "cpu":
        keep_freed_memory()
    count = threads or torch.get_num_threads()
    chosen = fast_precision(where) if precision == "auto" else precision
    network = Network(bundle.members, bundle.manifest.input_px, where, chosen, count)
    return Opened(bundle.manifest, bundle.calibration, bundle.sha256, network, count)


def _unfit(folder: Path, device: Device, weights: Path | None) -> str:
    """Say why nothing exported can be used; "" where it can."""
    if device == "cuda":
        return "runs on the CPU only; leave out --device cuda"
    if weights is not None:
        return "the exported file holds all weights; leave out --weights"
    if not exported_path(folder).is_file():
        return f"{exported_path(folder)} is not there; make it with `atypia bundle export {folder}`"
    return ""


def _installed(key: str) -> bool:
    module = "onnxruntime" if key == "onnx" else "openvino"
    return find_spec("onnx") is not None and find_spec(module) is not None


def _has_gpu() -> bool:
    """Whether an NVIDIA driver is here; torch, which would know more, is not asked."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def _usual_threads() -> int:
    """Return the number of threads that torch would take."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else len(os.sched_getaffinity(0))
