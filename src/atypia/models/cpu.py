"""What makes a CPU faster at these networks without changing what they compute."""

from __future__ import annotations

from types import MethodType

import torch
from torch import nn

_SMALL_MAP = 2  # px a side


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 itself (AVX512-BF16 or AMX)."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    checks = (getattr(torch.cpu, name, None) for name in names)
    return any(bool(check()) for check in checks if check is not None)


def depthwise_in_float32(network: nn.Module) -> None:
    """Take the slow depthwise convolutions out of bf16 autocast, in place.

    The bf16 gradient of wide and strided ones has no fast path on a CPU: `lite` spends half of a
    training step there. What goes in is cast to float32 and what comes out back to bf16, so the
    layers around stay in bf16. Narrow ones (3 x 3, stride 1) are faster in bf16 and left alone, but
    for maps of up to 2 x 2 px: there, products and sums of whole maps are faster than a convolution
    of any type. benchmarks/step.py measures what all of it gains.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            module.forward = MethodType(_forward, module)  # type: ignore[method-assign]


def _forward(self: nn.Conv2d, crops: torch.Tensor) -> torch.Tensor:
    """Convolve float32 or bf16 (B, C, H, W), under autocast to bf16."""
    slow = self.stride[0] > 1 or self.kernel_size[0] > 3
    small = _keeps_size(self) and max(crops.shape[-2:]) <= _SMALL_MAP
    if not torch.is_autocast_enabled("cpu") or not (slow or small):
        return type(self).forward(self, crops)
    with torch.autocast("cpu", enabled=False):
        convolve = small_map if small else type(self).forward
        return convolve(self, crops.float()).to(torch.bfloat16)


def _keeps_size(layer: nn.Conv2d) -> bool:
    side = layer.kernel_size[0]
    return (
        side > 1
        and layer.kernel_size == (side, side)
        and layer.padding == (side // 2, side // 2)
        and layer.stride == layer.dilation == (1, 1)
        and layer.bias is None
    )


def small_map(layer: nn.Conv2d, maps: torch.Tensor) -> torch.Tensor:
    """Return what a depthwise convolution that keeps the size makes of maps of a few pixels.

    Each pixel of the output is a weighted sum of all pixels of the input, so a map of H x W px is
    multiplied by H W weights a pixel: more arithmetic than the convolution, but no padding.

    Args:
        layer: depthwise, without a bias, of an odd side K.
        maps: float32 (B, C, H, W); H and W at most (K + 1) / 2.

    Returns:
        float32 (B, C, H, W), in the memory format channels_last.
    """
    high, wide = maps.shape[-2:]
    kernel, middle = layer.weight[:, 0].permute(1, 2, 0), layer.kernel_size[0] // 2
    weights = torch.stack(
        [
            kernel[middle - row : middle - row + high, middle - column : middle - column + wide]
            for row in range(high)
            for column in range(wide)
        ]
    )
    products = maps.permute(0, 2, 3, 1).unsqueeze(1) * weights
    sums = products.sum(dim=(2, 3)).view(len(maps), high, wide, -1)
    return sums.permute(0, 3, 1, 2)
