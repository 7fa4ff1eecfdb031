"""What of a backbone trains with it, and what stays as it was published."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from atypia.models.adapter_config import AdapterConfig
from atypia.models.adapters import adapt
from atypia.models.backbones.registry import BackboneSpec

RATES = ("pos_drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate")


def _adapted(spec: BackboneSpec, kind: str, rate: float, lora: float) -> nn.Module:
    torch.manual_seed(0)
    dropping = replace(spec, arguments={**spec.arguments, **dict.fromkeys(RATES, rate)})
    backbone = adapt(dropping.create(), dropping, AdapterConfig(kind=kind, dropout=lora))
    for name, parameter in backbone.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    return backbone.train()


def _differs(backbone: nn.Module) -> bool:
    crops = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        return not torch.equal(backbone(crops), backbone(crops))


@pytest.mark.parametrize("kind", ["lora", "linear"])
def test_the_dropout_of_a_frozen_backbone_stays_off(stand_in: BackboneSpec, kind: str) -> None:
    assert not _differs(_adapted(stand_in, kind, rate=0.5, lora=0.0))


def test_a_backbone_that_is_trained_drops_out(stand_in: BackboneSpec) -> None:
    assert _differs(_adapted(stand_in, "full", rate=0.5, lora=0.0))


def test_loras_own_dropout_is_on_in_training_alone(stand_in: BackboneSpec) -> None:
    backbone = _adapted(stand_in, "lora", rate=0.0, lora=0.5)
    assert _differs(backbone)
    assert not _differs(backbone.eval())
    assert _differs(backbone.train())
