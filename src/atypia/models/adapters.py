"""Adapters: which part of a backbone is trained.

`full` trains all of it, `linear` none of it, `lora` a low-rank addition to chosen layers
(Hu et al. 2021, LoRA, eq. 3), through peft, on linear layers and convolutions alike.
"""

from __future__ import annotations

import re

import torch
from torch import nn

from atypia.errors import AtypiaError
from atypia.models.adapter_config import AdapterConfig
from atypia.models.backbones.registry import BackboneSpec


def adapt(backbone: nn.Module, spec: BackboneSpec, config: AdapterConfig) -> nn.Module:
    """Return `backbone` with exactly the parameters of the adapter left trainable.

    Raises:
        AtypiaError: the pattern of a LoRA adapter matches no layer, or a grouped convolution.
    """
    if config.kind == "full":
        return backbone
    if config.kind == "linear":
        backbone.requires_grad_(False)
        return _Frozen(backbone)
    pattern = config.target or spec.lora_pattern
    layers = {name: module for name, module in backbone.named_modules() if _adaptable(module)}
    names = list(layers)
    matched = [name for name in names if re.fullmatch(pattern, name)]
    if not matched:
        raise AtypiaError(
            f"adapter.target {pattern!r} matches no layer of {spec.key}; "
            f"its layers look like {', '.join(names[:3])}, ..., {names[-1]}"
        )
    grouped = [name for name in matched if getattr(layers[name], "groups", 1) > 1]
    if grouped:  # peft cannot fold an addition into these, which export needs
        raise AtypiaError(
            f"adapter.target {pattern!r} matches {grouped[0]} of {spec.key}, a grouped "
            f"convolution, to which LoRA is not added; leave such layers out ({len(grouped)} in "
            "all)"
        )
    # Imported where it is needed: it brings transformers along.
    import peft

    lora = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=pattern,
    )
    # Frozen batch statistics: LoRA leaves the backbone as published, so they must not drift.
    return FrozenStatistics(peft.inject_adapter_in_model(lora, backbone))


def merge(backbone: nn.Module) -> nn.Module:
    """Fold LoRA's additions into the layers they adapt, in place; the outputs stay the same.

    Returns:
        The network as it was before `adapt`, with other weights: a convolution is one again.
    """
    if not isinstance(backbone, FrozenStatistics):
        return backbone
    network = backbone.network
    if any("lora_" in name for name, _ in network.named_parameters()):
        from peft.tuners.lora import LoraLayer

        for name, module in list(network.named_modules()):
            if isinstance(module, LoraLayer):
                module.merge()
                network.set_submodule(name, module.get_base_layer())
    return network


def hold_in_bfloat16(backbone: nn.Module) -> None:
    """Hold the weights of frozen linear layers in bf16, in place: half the memory.

    It is what autocast makes of them for every batch, so under autocast nothing changes; without
    it the backbone no longer runs. Norms, biases and embeddings of positions stay as they are.
    """
    for module in backbone.modules():
        if isinstance(module, nn.Linear) and not module.weight.requires_grad:
            module.weight.data = module.weight.data.bfloat16()


def recompute_activations(backbone: nn.Module) -> None:
    """Let a backbone forget the inside of its blocks and compute it again for the gradient.

    Gradient checkpointing (Chen et al. 2016), by timm: less memory, a forward pass more.
    """
    for module in backbone.modules():
        if hasattr(module, "set_grad_checkpointing"):
            module.set_grad_checkpointing(True)  # type: ignore[operator]
            return


def _adaptable(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d)


class FrozenStatistics(nn.Module):
    """A backbone that trains as it evaluates, but for LoRA's own dropout.

    Its batch statistics and its own dropout (of activations, attention, paths) are those of its
    published training, of which none is repeated here.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of normalised crops, float32 (B, 3, P, P) -> (B, D)."""
        embedding: torch.Tensor = self.network(crops)
        return embedding

    def train(self, mode: bool = True) -> FrozenStatistics:
        """Switch LoRA's own dropout, and nothing else of the backbone."""
        super().train(mode)
        self.network.eval()
        for name, module in self.network.named_modules():
            if name.endswith("lora_dropout"):
                module.train(mode)
        return self


class _Frozen(FrozenStatistics):
    """A backbone that is not trained: no graph is kept for it."""

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of normalised crops, float32 (B, 3, P, P) -> (B, D)."""
        with torch.no_grad():
            embedding: torch.Tensor = self.network(crops)
        return embedding
