"""What makes a CPU faster at these networks without changing what they compute."""

from __future__ import annotations

import ctypes
import sys
from types import MethodType

import torch
from torch import nn

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # mallopt(3)


def keep_freed_memory() -> None:
    """Let the process keep memory that it frees, for the rest of its life, where glibc is used.

    The activations of a step are freed and asked for again; by default glibc gives large blocks
    back to the system each time, and a quarter of a training step goes into faulting them in
    again. Peak memory stays as it is. benchmarks/step.py measures both.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_M_MMAP_MAX, 0)
            mallopt(_M_TRIM_THRESHOLD, -1)


def depthwise_in_float32(network: nn.Module) -> None:
    """Take wide and strided depthwise convolutions out of bf16 autocast, in place.

    Their bf16 gradient has no fast path on a CPU: `lite` spends half of a training step there.
    What goes in is cast to float32 and what comes out back to bf16, so the layers around stay in
    bf16. Narrow ones (3 x 3, stride 1) are faster in bf16 and left alone. benchmarks/step.py
    measures both.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _is_slow(module):
            module.forward = MethodType(_forward, module)  # type: ignore[method-assign]


def _is_slow(layer: nn.Conv2d) -> bool:
    depthwise = layer.groups == layer.in_channels > 1
    return depthwise and (layer.stride[0] > 1 or layer.kernel_size[0] > 3)


def _forward(self: nn.Conv2d, crops: torch.Tensor) -> torch.Tensor:
    if not torch.is_autocast_enabled("cpu"):
        return type(self).forward(self, crops)
    with torch.autocast("cpu", enabled=False):
        return type(self).forward(self, crops.float()).to(torch.bfloat16)
