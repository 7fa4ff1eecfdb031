"""A model soup: the mean of several members' weights as one member (Wortsman et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from atypia.errors import AtypiaError
from atypia.models.adapter_config import LARGEST_RANK, AdapterConfig

State = Mapping[str, torch.Tensor]


def soup(
    states: Sequence[State], adapter: AdapterConfig
) -> tuple[dict[str, torch.Tensor], AdapterConfig]:
    """Return the mean of LoRA members' weights, exactly, as a member of so many times the rank.

    Each adapts a layer by B_i A_i; the mean of these is [B_1 ... B_n] [A_1; ...; A_n] / n. Biases
    and heads are averaged as they are.

    Args:
        states: for each member what `Classifier.saved_state` gave, at least one.
        adapter: of all of them, LoRA.

    Returns:
        The state, float32, and the adapter that it belongs to.

    Raises:
        AtypiaError: the rank would be above what an adapter may have.
    """
    require_soup(len(states), adapter)
    mean = {}
    for name in states[0]:
        parts = [state[name] for state in states]
        if ".lora_A." in name:
            mean[name] = torch.cat(parts) / len(parts)
        elif ".lora_B." in name:
            mean[name] = torch.cat(parts, dim=1)
        else:
            mean[name] = torch.stack(parts).mean(dim=0)
    more = {"rank": adapter.rank * len(states), "alpha": adapter.alpha * len(states)}
    return mean, adapter.model_copy(update=more)


def require_soup(members: int, adapter: AdapterConfig) -> None:
    """Refuse members that no soup can be made of, before they are trained.

    Raises:
        AtypiaError: the rank would be above what an adapter may have.
    """
    rank = members * adapter.rank
    if rank > LARGEST_RANK:
        raise AtypiaError(
            f"adapter.rank {adapter.rank} in a soup of {members} members: a rank of {rank}, at "
            f"most {LARGEST_RANK} can be; lower it, or leave out folds.soup"
        )
