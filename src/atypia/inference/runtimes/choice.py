"""Which runtime computes a bundle: the one asked for, or the fastest that fits."""

from __future__ import annotations

import logging
import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from atypia.bundle.load import Bundle
from atypia.errors import AtypiaError, BundleError, OptionError
from atypia.extras import missing_extra
from atypia.inference.options import Precision, PredictOptions, runtime_keys
from atypia.inference.runtimes.base import Runtime

REFERENCE = "torch"

_log = logging.getLogger(__name__)

# Measured by benchmarks/speed.py: the fastest first. What bf16 costs in accuracy is measured by
# benchmarks/runtimes.py. A runtime that nobody has measured is taken by its name alone.
_MEASURED: tuple[tuple[str, Precision], ...] = (
    ("openvino", "bf16"),
    ("onnx", "fp32"),
    ("openvino", "fp32"),
)


def start_runtime(bundle: Bundle, options: PredictOptions) -> Runtime:
    """Start the runtime asked for; `auto` is the fastest that fits.

    Where `auto` finds a file exported from the bundle that it cannot use, it warns on the log.

    Args:
        bundle: whose members are computed.
        options: of the prediction.

    Raises:
        BundleError: the bundle, or a file exported from it that is asked for, is at fault.
        OptionError: an option is out of range or asks for what is not here.
    """
    runtime = choose_runtime(bundle.folder, options)
    try:
        return runtime.load(bundle, options)
    except BundleError as fault:
        if options.runtime != "auto" or runtime.key == REFERENCE or find_spec(REFERENCE) is None:
            raise
        _log.warning("warning: %s; %s is used instead", fault, REFERENCE)
    return runtime_class(REFERENCE).load(bundle, options)


def choose_runtime(folder: Path, options: PredictOptions) -> type[Runtime]:
    """Return the runtime asked for; `auto` is the fastest that fits a bundle and the options.

    Raises:
        OptionError: the one asked for does not fit.
        AtypiaError: none fits: the bundle has not been exported, and torch is not installed.
    """
    if options.runtime != "auto":
        runtime = runtime_class(options.runtime)
        reason = runtime.why_not(folder, options)
        if reason:
            other = "" if runtime.key == REFERENCE else f", or use --runtime {REFERENCE}"
            raise OptionError("runtime", runtime.key, f"{reason}{other}")
        return runtime
    if options.device == "cpu" or not _has_gpu():
        for key, precision in _MEASURED:
            runtime = runtime_class(key)
            if runtime.why_not(folder, options) == "" and (
                runtime.choose_precision(options) == precision
            ):
                return runtime
    if find_spec(REFERENCE) is None:
        raise AtypiaError(
            f"{folder}: holds no exported network that can be used here, and torch, which computes "
            "any bundle, is not installed; pip install 'atypia[train]', or export the bundle where "
            f"that is installed, with `atypia bundle export {folder}`"
        )
    return runtime_class(REFERENCE)


def runtime_class(key: str) -> type[Runtime]:
    """Return a runtime by its key; importing its file imports no more of it than it must.

    Raises:
        OptionError: there is no such runtime.
    """
    if key not in runtime_keys():
        raise OptionError("runtime", key, f"expected one of {', '.join(runtime_keys())}")
    try:
        runtime: type[Runtime] = import_module(f"{__package__}.{key}").RUNTIME
    except ModuleNotFoundError as fault:
        missing = missing_extra(fault, f"runtime {key}")
        if missing is None:
            raise
        raise missing from fault
    return runtime


def _has_gpu() -> bool:
    """Whether an NVIDIA driver is here; torch, which would know more, is not asked."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
