"""Networks folded: the same function, computed faster.

For prediction, batch normalisation is folded into the convolution before it, and the one-sided
padding of TensorFlow's networks into the kernel, where torch computes it; both are exact but for
rounding. In training, LoRA's addition and the frozen normalisation are folded anew in every pass.
Every folded network is compared with its original before it is used.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Sequence
from types import MethodType
from typing import cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from atypia.models.adapters import FrozenStatistics, merge
from atypia.models.classifier import Classifier, Output, average_views
from atypia.models.cpu import convolve, has_plain_weights

# Folding rounds differently; a wrong fold differs by whole units.
_LARGEST_SHARE = 1e-3


class FoldedMembers(nn.Module):
    """The members of an ensemble, their common first layers computed once.

    Attributes:
        members: each with what follows the common layers as its backbone.
        common: the first layers that all members share.
    """

    def __init__(
        self,
        members: Sequence[Classifier],
        input_px: int,
        *,
        bf16: bool = False,
        even_padding: bool = True,
    ) -> None:
        """Fold members.

        Args:
            members: merged, folded and cast in place; a copy of a large backbone would not fit.
            input_px: side of a crop.
            bf16: cast convolutions and matrix products once, as autocast would for every batch.
            even_padding: fold one-sided padding into wider kernels, as torch would copy the image;
                a runtime whose convolutions pad each side on its own is faster without.
        """
        super().__init__()
        for member in members:
            member.eval().requires_grad_(False)
        # With a linear adapter all members stand on one backbone, which is prepared once.
        own = {id(member.backbone): member.backbone for member in members}
        ready = {
            key: _prepare(backbone, input_px, bf16, even_padding) for key, backbone in own.items()
        }
        common, rest = _split([ready[id(member.backbone)] for member in members])
        for member, follows in zip(members, rest, strict=True):
            member.backbone = follows
        self.members = nn.ModuleList(members)
        self.common = common

    def forward(self, crops: torch.Tensor) -> list[Output]:
        """Return the output of each member for crops, float32 (B, 3, P, P), RGB in [0, 1]."""
        members = cast("list[Classifier]", list(self.members))
        views = [self.common(view) for view in members[0].make_views(crops)]
        return [
            member(average_views([member.backbone(view).float() for view in views]))
            for member in members
        ]


def _prepare(backbone: nn.Module, input_px: int, bf16: bool, even_padding: bool) -> nn.Module:
    """Merge, fold and cast a backbone, in place where nothing is folded."""
    ready = _fold_if_equal(merge(backbone), input_px, even_padding)
    if bf16:
        for module in ready.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.to(torch.bfloat16)
    return ready


def _split(networks: Sequence[nn.Module]) -> tuple[nn.Module, list[nn.Module]]:
    """Split networks into the first layers that all of them share, and what follows in each.

    A linear adapter leaves all layers as published, LoRA on late layers the first ones. They are
    compared by their weights, layer by layer where timm gives a network's layers in order.
    """
    layers = [list(_layers(network)) for network in networks]
    same = 0
    for first, *others in zip(*layers, strict=False):
        if not all(_equal(first, other) for other in others):
            break
        same += 1
    return nn.Sequential(*layers[0][:same]), [nn.Sequential(*own[same:]) for own in layers]


def _layers(network: nn.Module) -> Iterable[nn.Module]:
    in_order = getattr(network, "as_sequential", None)
    return (network,) if in_order is None else in_order()


def _equal(first: nn.Module, other: nn.Module) -> bool:
    if first is other:
        return True
    mine, its = first.state_dict(), other.state_dict()
    return mine.keys() == its.keys() and all(torch.equal(mine[name], its[name]) for name in mine)


def fold_in_training(backbone: nn.Module, input_px: int) -> None:
    """Compute a convolution, LoRA's addition to it and the normalisation after it as one, in place.

    LoRA's product is added to the weights instead of its output to the layer's output (Hu et al.
    2021, eq. 3: the same function), and the frozen normalisation's factors multiply them, anew in
    every pass, so that gradients reach LoRA's factors. A map is then read and written once instead
    of five times, which is what a narrow network on a CPU spends its time on (benchmarks/step.py).
    Parameters and their names stay as they are.

    Args:
        backbone: with LoRA; any other is left alone, as are a layer whose LoRA has a dropout and a
            network whose outputs would change.
        input_px: side of a crop.
    """
    if not isinstance(backbone, FrozenStatistics) or not _pairs(backbone):
        return
    trial = copy.deepcopy(backbone).eval()  # built, its statistics were still to be frozen
    if _fold_as_one(trial) and _same_outputs(backbone.eval(), trial, input_px):
        _fold_as_one(backbone)


def _fold_as_one(network: nn.Module) -> int:
    done = 0
    for parent, place, norm_place in _pairs(network):
        layer, norm = getattr(parent, place), getattr(parent, norm_place)
        if has_plain_weights(_convolution(layer)) and _without_dropout(layer):
            layer.__dict__["norm_after"] = norm  # no module of the layer: names stay as they are
            layer.forward = MethodType(_forward_as_one, layer)
            norm.forward = MethodType(_forward_activation, norm)
            done += 1
    return done


def _forward_as_one(self: nn.Module, maps: torch.Tensor) -> torch.Tensor:
    layer, norm = _convolution(self), self.__dict__["norm_after"]
    with torch.autocast(maps.device.type, enabled=False):
        weight = layer.weight
        if layer is not self:
            for name in self.active_adapters:  # type: ignore[union-attr]
                weight = weight + self.get_delta_weight(name)  # type: ignore[operator]
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        mean = norm.running_mean if layer.bias is None else norm.running_mean - layer.bias
        weight, bias = weight * scale.view(-1, 1, 1, 1), norm.bias - mean * scale
    return convolve(layer, maps, weight, bias)


def _forward_activation(self: nn.Module, maps: torch.Tensor) -> torch.Tensor:
    for name in ("drop", "act"):  # of timm's normalisation, which carries what follows it
        maps = getattr(self, name, nn.Identity())(maps)
    return maps


def _convolution(layer: nn.Module) -> nn.Conv2d:
    """Return the convolution itself, without LoRA's addition."""
    base = getattr(layer, "base_layer", layer)
    assert isinstance(base, nn.Conv2d)
    return base


def _without_dropout(layer: nn.Module) -> bool:
    return not any(
        isinstance(module, nn.Dropout)
        for name, module in layer.named_modules()
        if "lora_dropout" in name
    )


def _fold_if_equal(backbone: nn.Module, input_px: int, even_padding: bool) -> nn.Module:
    """Fold what can be folded, and keep it only if the outputs stay the same."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules()):
        return backbone
    folded = copy.deepcopy(backbone)
    if _fold(folded, even_padding) and _same_outputs(backbone, folded, input_px):
        return folded
    return backbone


def _same_outputs(network: nn.Module, folded: nn.Module, input_px: int) -> bool:
    probe = torch.rand(2, 3, input_px, input_px, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.inference_mode():
        try:
            before, after = network(probe), folded(probe)
        except RuntimeError:
            return False
    return bool((after - before).abs().max() <= _LARGEST_SHARE * before.abs().max())


def _fold(network: nn.Module, even_padding: bool) -> int:
    """Fold each convolution and the batch normalisation declared next to it, in place."""
    done = 0
    for parent, place, norm_place in _pairs(network):
        norm = getattr(parent, norm_place)
        fused = fuse_conv_bn_eval(getattr(parent, place), norm)
        setattr(parent, place, _pad_evenly(fused) if even_padding else fused)
        # timm's normalisation carries the activation that follows it. What comes out of a
        # convolution is nobody else's, so it may be changed in place: half the memory.
        activation = getattr(norm, "act", nn.Identity())
        if hasattr(activation, "inplace"):
            activation.inplace = True
        setattr(parent, norm_place, activation)
        done += 1
    return done


def _pairs(network: nn.Module) -> list[tuple[nn.Module, str, str]]:
    """Return each module with the names of a convolution in it and of the normalisation after it.

    The order in which layers are declared tells which normalisation follows which convolution in
    all common networks, but nothing forces a network to be like that: outputs are compared.
    """
    pairs = []
    for parent in network.modules():
        names = [name for name, _ in parent.named_children()]
        for place, norm_place in itertools.pairwise(names):
            layer, norm = getattr(parent, place), getattr(parent, norm_place)
            base = getattr(layer, "base_layer", layer)
            if (
                isinstance(base, nn.Conv2d)
                and isinstance(norm, nn.BatchNorm2d)
                and norm.num_features == base.out_channels
                and norm.track_running_stats
            ):
                pairs.append((parent, place, norm_place))
    return pairs


def _pad_evenly(convolution: nn.Conv2d) -> nn.Conv2d:
    """Return a convolution of stride 2 that pads as TensorFlow does, without copying the image.

    TensorFlow pads an image of even size by one px more below and to the right than above and to
    the left. A kernel with one more row and column of zeros above and to the left, and that
    larger padding on all sides, meets the same pixels. (Odd sizes differ: the comparison tells.)
    """
    side = convolution.kernel_size[0]
    if (
        type(convolution).__name__ != "Conv2dSame"
        or convolution.kernel_size != (side, side)
        or side % 2 == 0
        or convolution.stride != (2, 2)
        or convolution.dilation != (1, 1)
    ):
        return convolution
    widened = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        side + 1,
        stride=2,
        padding=(side - 1) // 2,
        groups=convolution.groups,
        bias=convolution.bias is not None,
    )
    with torch.no_grad():
        widened.weight.zero_()
        widened.weight[:, :, 1:, 1:] = convolution.weight
        if widened.bias is not None and convolution.bias is not None:
            widened.bias.copy_(convolution.bias)
    return widened
