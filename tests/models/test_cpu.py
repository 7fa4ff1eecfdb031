"""Depthwise layers in float32: the same network, and a copy of it is a network of its own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from atypia.models.adapters import AdapterConfig
from atypia.models.classifier import build_classifier
from atypia.models.cpu import depthwise_in_float32, small_map


def test_it_stays_the_same_network_with_autocast_and_without() -> None:
    torch.manual_seed(0)
    network = build_classifier("lite", AdapterConfig()).eval()
    crops = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        exact = network(crops).embedding
        with torch.autocast("cpu", torch.bfloat16):
            coarse = network(crops).embedding
        depthwise_in_float32(network)
        torch.testing.assert_close(network(crops).embedding, exact, rtol=0, atol=0)
        with torch.autocast("cpu", torch.bfloat16):
            finer = network(crops).embedding
    assert not torch.equal(finer, coarse)
    for rounded in (coarse, finer):
        assert float((rounded - exact).std()) < 0.05 * float(exact.std())


def test_a_copy_uses_its_own_weights() -> None:
    network = build_classifier("lite", AdapterConfig(), pretrained=False).eval()
    depthwise_in_float32(network)
    copied = copy.deepcopy(network)
    crops = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = copied(crops).embedding
        for parameter in network.parameters():
            parameter.zero_()
        torch.testing.assert_close(copied(crops).embedding, before, rtol=0, atol=0)
        assert not torch.allclose(network(crops).embedding, before)


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_a_small_map_is_convolved_and_its_gradients_are_those(
    side: int, shape: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 6, side, padding=side // 2, groups=6, bias=False)
    maps, out = torch.randn(2, 4, 6, *shape)
    found = []
    for convolve in (layer, lambda x: small_map(layer.weight, x)):
        x = maps.clone().requires_grad_()
        y = convolve(x)
        layer.zero_grad()
        y.backward(out)
        assert layer.weight.grad is not None
        found.append((y.detach(), x.grad, layer.weight.grad.clone()))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)


def test_only_small_maps_take_that_way(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_classifier("lite", AdapterConfig(), pretrained=False).eval()
    depthwise_in_float32(network)
    asked: list[torch.Size] = []

    def counted(weight: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        asked.append(maps.shape[-2:])
        return small_map(weight, maps)

    monkeypatch.setattr("atypia.models.cpu.small_map", counted)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(1, 3, 96, 96))
        assert asked == []
        network(torch.rand(1, 3, 64, 64))
    assert asked == [(2, 2)] * 4
