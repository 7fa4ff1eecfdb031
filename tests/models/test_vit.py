"""Embeddings read off tokens, and transformers built from their entries."""

from __future__ import annotations

import torch

from atypia.models.backbones.registry import BackboneSpec
from atypia.models.vit import TokenPooling, timm_vit


def test_registers_are_in_no_mean() -> None:
    """Tokens: class, two registers, two patches; a mean of all but the class would be 35."""
    tokens = torch.tensor([1.0, 50.0, 60.0, 10.0, 20.0]).view(1, 5, 1)
    assert TokenPooling("token", 3)(tokens).tolist() == [[1.0]]
    assert TokenPooling("mean", 3)(tokens).tolist() == [[15.0]]
    assert TokenPooling("token+mean", 3)(tokens).tolist() == [[1.0, 15.0]]


def test_an_entry_gives_depth_side_and_pooling(stand_in: BackboneSpec) -> None:
    network = timm_vit(stand_in, 32, 1).eval()
    assert len(network.blocks) == 1  # type: ignore[arg-type]
    assert isinstance(network.head, TokenPooling)
    assert network.head.prefix == 3  # the class token and two registers
    with torch.no_grad():
        assert network(torch.rand(2, 3, 32, 32)).shape == (2, stand_in.embedding)
