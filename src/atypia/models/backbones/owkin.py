"""Owkin: Phikon-v2 (ViT-L/16).

It is published for transformers' `Dinov2Model`. That is timm's vision transformer with layer
scale, so it is built by timm like all others and its tensors are renamed: query, key and value
become one matrix. So nothing beside this file knows of it, its layers have the names that LoRA's
pattern expects, and a test compares it with transformers' own.
"""

from __future__ import annotations

import re

import torch

from atypia.models.backbones.registry import BackboneSpec, Tensors, register

_NAMES = {
    r"^embeddings\.cls_token$": "cls_token",
    r"^embeddings\.position_embeddings$": "pos_embed",
    r"^embeddings\.patch_embeddings\.projection\.": "patch_embed.proj.",
    r"^layernorm\.": "norm.",
    r"^encoder\.layer\.": "blocks.",
    r"\.attention\.output\.dense\.": ".attn.proj.",
    r"\.layer_scale([12])\.lambda1$": r".ls\1.gamma",
}
_QUERY = ".attention.attention.query."


def _rename(tensors: Tensors) -> Tensors:
    """Give transformers' tensors timm's names."""
    state: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        timms = name
        for before, after in _NAMES.items():
            timms = re.sub(before, after, timms)
        state[timms] = tensor
    state.pop("embeddings.mask_token", None)  # of the training alone
    for query in [name for name in state if _QUERY in name]:
        parts = [query.replace("query", part) for part in ("query", "key", "value")]
        if all(part in state for part in parts):
            packed = torch.cat([state.pop(part) for part in parts])
            state[query.replace(_QUERY, ".attn.qkv.")] = packed
    return state


register(
    BackboneSpec(
        key="phikon-v2",
        architecture="vit_large_patch16_224",
        arguments={"init_values": 1e-5},
        parameters=303_000_000,
        embedding=1024,
        pooling="token",
        input_px=224,
        patch_px=16,
        repository="owkin/phikon-v2",
        files=("model.safetensors",),
        licence="Owkin non-commercial licence",
        access="open",
        citation="Filiot et al. 2024, Phikon-v2, arXiv 2409.09173",
        unverified=frozenset({"mpp"}),
        rename=_rename,
    )
)
