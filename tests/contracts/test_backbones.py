"""What every backbone of the registry must do; a new one is picked up by being there."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from atypia.models.backbones.registry import backbone_keys, backbone_spec, register


@pytest.mark.parametrize("key", backbone_keys())
class TestBackbone:
    def test_embeds_with_the_width_it_states(self, key: str) -> None:
        spec = backbone_spec(key)
        crops = torch.rand(2, 3, spec.input_px, spec.input_px)
        with torch.inference_mode():
            embedding = spec.build(False).eval()(crops)
        assert embedding.shape == (2, spec.embedding)
        assert torch.isfinite(embedding).all()

    def test_an_embedding_does_not_depend_on_the_batch(self, key: str) -> None:
        spec = backbone_spec(key)
        network = spec.build(True).eval()
        crops = torch.rand(5, 3, spec.input_px, spec.input_px)
        with torch.inference_mode():
            together = network(crops)
            alone = torch.cat([network(crop[None]) for crop in crops])
        torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)

    def test_the_lora_pattern_names_layers_that_are_there(self, key: str) -> None:
        spec = backbone_spec(key)
        named = dict(spec.build(False).named_modules())
        adapted = [name for name in named if re.fullmatch(spec.lora_pattern, name)]
        assert len(adapted) >= 4
        assert all(isinstance(named[name], nn.Linear | nn.Conv2d) for name in adapted)

    def test_says_what_a_user_must_know(self, key: str) -> None:
        spec = backbone_spec(key)
        for text in (spec.licence, spec.access, spec.citation, spec.pooling):
            assert len(text) > 3
        assert all(0 < value < 1 for value in (*spec.mean, *spec.std))


def test_lite_starts_from_imagenet_and_not_from_noise() -> None:
    """Published batch statistics are there; a network without them would start from noise."""
    spec = backbone_spec("lite")
    published, random = spec.build(True).state_dict(), spec.build(False).state_dict()
    means = [value for name, value in published.items() if name.endswith("running_mean")]
    assert means
    assert all(float(value.abs().sum()) > 0 for value in means)
    assert all(float(v.abs().sum()) == 0 for n, v in random.items() if n.endswith("running_mean"))


def test_a_key_is_taken_once() -> None:
    with pytest.raises(ValueError, match="'lite'"):
        register(backbone_spec("lite"))
