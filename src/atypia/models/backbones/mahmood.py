"""Mahmood Lab: UNI2-h (ViT-H/14 of 24 blocks, 8 registers)."""

from __future__ import annotations

from timm.layers.mlp import SwiGLUPacked
from torch import nn

from atypia.models.backbones.registry import BackboneSpec, register

register(
    BackboneSpec(
        key="uni2-h",
        architecture="vit_giant_patch14_224",
        arguments={
            "patch_size": 14,
            "depth": 24,
            "num_heads": 24,
            "embed_dim": 1536,
            "mlp_ratio": 2.66667 * 2,
            "init_values": 1e-5,
            "no_embed_class": True,
            "reg_tokens": 8,
            "mlp_layer": SwiGLUPacked,
            "act_layer": nn.SiLU,
        },
        parameters=681_000_000,
        embedding=1536,
        pooling="token",
        input_px=224,
        patch_px=14,
        repository="MahmoodLab/UNI2-h",
        licence="CC-BY-NC-ND-4.0",
        access="gated",
        citation="Chen et al. 2024, Towards a general-purpose foundation model for computational "
        "pathology, Nature Medicine 30",
        unverified=frozenset({"mpp", "licence", "access"}),
    )
)
