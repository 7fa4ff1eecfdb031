"""A soup adds to each layer the mean of what its members add."""

from __future__ import annotations

import peft
import pytest
import torch
from torch import nn

from atypia.errors import AtypiaError
from atypia.models.adapter_config import AdapterConfig
from atypia.models.soup import require_soup, soup

RANK = 4


class Small(nn.Module):
    """Both kinds of layer that LoRA adapts, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.linear = nn.Linear(8, 6)
        self.head = nn.Linear(6, 1)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        pooled = self.conv(crops).mean(dim=(-2, -1))
        found: torch.Tensor = self.head(self.linear(pooled))
        return found


def _adapted(rank: int, alpha: int) -> nn.Module:
    torch.manual_seed(0)  # all on the same backbone
    lora = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=["conv", "linear"])
    return peft.inject_adapter_in_model(lora, Small())


def _weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return what each layer computes with, the addition folded in."""
    found = {}
    for name, layer in network.named_modules():
        if isinstance(layer, peft.tuners.lora.LoraLayer):
            layer.merge()
            found[name] = layer.get_base_layer().weight.detach()
    return found


def test_it_adds_the_mean_of_the_additions_to_every_layer() -> None:
    members, states = [], []
    for seed in (1, 2, 3):
        member = _adapted(RANK, 8)
        torch.manual_seed(seed)
        for name, parameter in member.named_parameters():
            if "lora_" in name or "head" in name:
                nn.init.normal_(parameter)
        kept = {n: p for n, p in member.state_dict().items() if "lora_" in n or "head" in n}
        states.append({name: tensor.clone() for name, tensor in kept.items()})
        members.append(_weights(member))
    mixed, adapter = soup(states, AdapterConfig(kind="lora", rank=RANK, alpha=8, dropout=0))
    assert (adapter.rank, adapter.alpha) == (12, 24)
    network = _adapted(adapter.rank, adapter.alpha)
    missing = network.load_state_dict(mixed, strict=False)
    assert not missing.unexpected_keys
    found = _weights(network)
    assert set(found) == {"conv", "linear"}
    for name, weight in found.items():
        mean = torch.stack([member[name] for member in members]).mean(dim=0)
        torch.testing.assert_close(weight, mean, atol=1e-4, rtol=1e-5)
    mean = torch.stack([state["head.weight"] for state in states]).mean(dim=0)
    torch.testing.assert_close(network.head.weight, mean)


def test_a_rank_that_no_adapter_has_is_refused_before_training() -> None:
    require_soup(5, AdapterConfig(kind="lora", rank=204))
    with pytest.raises(AtypiaError, match="rank 205 in a soup of 5 members: a rank of 1025"):
        require_soup(5, AdapterConfig(kind="lora", rank=205))
