"""The weights of a bundle's members, read without torch. Their networks: `inference/runtimes`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from atypia.errors import BundleError

Tensors = dict[str, npt.NDArray[Any]]


def read_member(path: Path) -> Tensors:
    """Read the tensors of a member.

    Args:
        path: of its file, safetensors; nothing in it is executed.

    Returns:
        What a bundle keeps of a network, by the network's names: float32 for weights, int64 for
        counters.

    Raises:
        BundleError: the file cannot be read, or a value in it is not finite.
    """
    try:
        tensors = load_file(path)
    # numpy has no bfloat16 or float8, and each fails in a way of its own.
    except (OSError, SafetensorError, TypeError, AttributeError) as fault:
        raise BundleError(
            f"{path}: cannot be read as safetensors ({fault}); fetch or train the bundle again"
        ) from fault
    # Once a library (onnx's ml_dtypes) has taught numpy these types they are read all the same.
    odd = [name for name, tensor in tensors.items() if tensor.dtype.kind not in "fiub"]
    if odd:
        raise BundleError(
            f"{path}: cannot be read as safetensors (tensor {odd[0]!r} is {tensors[odd[0]].dtype}, "
            "expected float32 or int64); fetch or train the bundle again"
        )
    unusable = [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()]
    if unusable:
        raise BundleError(
            f"{path}: tensor {unusable[0]!r} holds values that are not finite; train it again"
        )
    return tensors
