"""Prov-GigaPath: the encoder of tiles (ViT-g of patches of 16 px, no registers)."""

from __future__ import annotations

from atypia.models.backbones.registry import BackboneSpec, register

register(
    BackboneSpec(
        key="gigapath",
        architecture="vit_giant_patch14_dinov2",
        arguments={"patch_size": 16, "mlp_ratio": 5.33334, "init_values": 1e-5},
        parameters=1_130_000_000,
        embedding=1536,
        pooling="token",
        input_px=224,
        patch_px=16,
        mpp=(0.5,),
        repository="prov-gigapath/prov-gigapath",
        files=("pytorch_model.bin",),
        licence="Apache-2.0 with conditions of use",
        access="accept",
        citation="Xu et al. 2024, A whole-slide foundation model for digital pathology from "
        "real-world data, Nature 630",
        unverified=frozenset({"licence"}),
    )
)
