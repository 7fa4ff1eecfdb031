"""Meta: DINOv3 (ViT-L/16 and ViT-H+/16, 4 registers, rotary positions), trained on web images.

Position enters by rotation alone, so any whole number of patches is looked at without resampling.
"""

from __future__ import annotations

from atypia.models.backbones.registry import BackboneSpec, register

_LICENCE = "DINOv3 licence"
_CITATION = "Simeoni et al. 2025, DINOv3, arXiv 2508.10104"

register(
    BackboneSpec(
        key="dinov3-l",
        architecture="vit_large_patch16_dinov3",
        parameters=303_100_000,
        embedding=1024,
        pooling="token",
        input_px=256,
        patch_px=16,
        repository="timm/vit_large_patch16_dinov3.lvd1689m",
        licence=_LICENCE,
        access="open",
        citation=_CITATION,
    )
)

register(
    BackboneSpec(
        key="dinov3-h+",
        architecture="vit_huge_plus_patch16_dinov3",
        parameters=840_500_000,
        embedding=1280,
        pooling="token",
        input_px=256,
        patch_px=16,
        repository="timm/vit_huge_plus_patch16_dinov3.lvd1689m",
        licence=_LICENCE,
        access="open",
        citation=_CITATION,
    )
)
