"""Depthwise convolutions in float32, where a CPU's bf16 gradient of them is slow."""

from __future__ import annotations

from types import MethodType

import torch
from torch import nn


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
