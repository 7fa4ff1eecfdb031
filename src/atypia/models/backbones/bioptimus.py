"""Bioptimus: H-optimus-0 (ViT-g/14) and H0-mini (ViT-B/14, distilled from it)."""

from __future__ import annotations

from timm.layers.mlp import SwiGLUPacked
from torch import nn

from atypia.models.backbones.registry import BackboneSpec, register

_MEAN = (0.707223, 0.578729, 0.703617)
_STD = (0.211883, 0.230117, 0.177517)

register(
    BackboneSpec(
        key="h-optimus-0",
        architecture="vit_giant_patch14_reg4_dinov2",
        arguments={"init_values": 1e-5},
        parameters=1_130_000_000,
        embedding=1536,
        pooling="token",
        input_px=224,
        patch_px=14,
        mpp=(0.5,),
        mean=_MEAN,
        std=_STD,
        repository="bioptimus/H-optimus-0",
        licence="Apache-2.0",
        access="accept",
        citation="Saillard et al. 2024, H-optimus-0, github.com/bioptimus/releases",
        unverified=frozenset({"licence", "access"}),
    )
)

register(
    BackboneSpec(
        key="h0-mini",
        architecture="vit_base_patch14_reg4_dinov2",
        arguments={
            "init_values": 1e-5,
            "mlp_ratio": 5.33334,  # 4096: gate and value of 2048 each
            "mlp_layer": SwiGLUPacked,
            "act_layer": nn.SiLU,
        },
        parameters=86_000_000,
        embedding=1536,
        pooling="token+mean",
        input_px=224,
        patch_px=14,
        mpp=(0.5,),
        mean=_MEAN,
        std=_STD,
        repository="bioptimus/H0-mini",
        licence="CC-BY-NC-ND-4.0",
        access="gated",
        citation="Filiot et al. 2025, Distilling foundation models for robust and efficient models "
        "in digital pathology, arXiv 2501.16239",
        unverified=frozenset({"architecture", "files", "licence", "access"}),
    )
)
