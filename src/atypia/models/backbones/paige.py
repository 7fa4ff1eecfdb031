"""Paige: Virchow2 (ViT-H/14, 4 registers, trained at four magnifications)."""

from __future__ import annotations

from timm.layers.mlp import SwiGLUPacked
from torch import nn

from atypia.models.backbones.registry import BackboneSpec, register

register(
    BackboneSpec(
        key="virchow2",
        architecture="vit_huge_patch14_224",
        arguments={
            "init_values": 1e-5,
            "reg_tokens": 4,
            "mlp_ratio": 5.3375,  # 6832: gate and value of 3416 each
            "mlp_layer": SwiGLUPacked,
            "act_layer": nn.SiLU,
        },
        parameters=632_000_000,
        embedding=2560,
        pooling="token+mean",
        input_px=224,
        patch_px=14,
        mpp=(0.25, 0.5, 1.0, 2.0),
        repository="paige-ai/Virchow2",
        licence="CC-BY-NC-ND-4.0",
        access="gated",
        citation="Zimmermann et al. 2024, Virchow2, arXiv 2408.00738",
        unverified=frozenset({"mpp"}),
    )
)
