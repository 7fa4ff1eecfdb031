"""What makes a CPU faster at these networks without changing what they compute."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType

import torch
from timm.layers.conv2d_same import Conv2dSame, conv2d_same
from torch import nn
from torch.nn import functional as F

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
        if isinstance(module, nn.Conv2d) and _is_depthwise(module) and has_plain_weights(module):
            module.forward = MethodType(_forward, module)  # type: ignore[method-assign]


def _forward(self: nn.Conv2d, maps: torch.Tensor) -> torch.Tensor:
    return convolve(self, maps, self.weight, self.bias)


def convolve(
    layer: nn.Conv2d, maps: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Convolve as a layer does, with other weights; slow depthwise ones in float32.

    Args:
        layer: with plain weights (`has_plain_weights`).
        maps: float32 (B, C, H, W); bf16 under autocast.
        weight: float32, of the layer's shape.
        bias: float32 (output channels,), or None.

    Returns:
        (B, output channels, H', W'), bf16 under autocast, else float32.
    """
    slow = layer.stride[0] > 1 or layer.kernel_size[0] > 3
    small = _keeps_size(layer) and max(maps.shape[-2:]) <= _SMALL_MAP
    if torch.is_autocast_enabled("cpu") and _is_depthwise(layer) and (slow or small):
        with torch.autocast("cpu", enabled=False):
            if small:
                result = small_map(weight, maps.float())
                result = result if bias is None else result + bias.view(1, -1, 1, 1)
            else:
                result = _convolve(layer, maps.float(), weight, bias)
            return result.to(torch.bfloat16)
    return _convolve(layer, maps, weight, bias)


def has_plain_weights(layer: nn.Conv2d) -> bool:
    """Whether a layer is a convolution with its weights as they are, padded with zeros."""
    return type(layer) in (nn.Conv2d, Conv2dSame) and layer.padding_mode == "zeros"


def _convolve(
    layer: nn.Conv2d, maps: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    function: Callable[..., torch.Tensor] = F.conv2d
    if isinstance(layer, Conv2dSame):
        function = conv2d_same
    return function(maps, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)


def _is_depthwise(layer: nn.Conv2d) -> bool:
    return layer.groups == layer.in_channels > 1


def _keeps_size(layer: nn.Conv2d) -> bool:
    side = layer.kernel_size[0]
    return (
        side > 1
        and layer.kernel_size == (side, side)
        and layer.padding == (side // 2, side // 2)
        and layer.stride == layer.dilation == (1, 1)
    )


def small_map(weight: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Return what a depthwise convolution that keeps the size makes of maps of a few pixels.

    Each pixel of the output is a weighted sum of all pixels of the input, so a map of H x W px is
    multiplied by H W weights a pixel: more arithmetic than the convolution, but no padding.

    Args:
        weight: float32 (C, 1, K, K), of a depthwise convolution; K is odd.
        maps: float32 (B, C, H, W); H and W at most (K + 1) / 2.

    Returns:
        float32 (B, C, H, W), in the memory format channels_last.
    """
    high, wide = maps.shape[-2:]
    kernel, middle = weight[:, 0].permute(1, 2, 0), weight.shape[-1] // 2
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
