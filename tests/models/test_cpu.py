"""Depthwise layers in float32: the same network, and a copy of it is a network of its own."""

from __future__ import annotations

import copy

import torch

from atypia.models.adapters import AdapterConfig
from atypia.models.classifier import build_classifier
from atypia.models.cpu import depthwise_in_float32


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
