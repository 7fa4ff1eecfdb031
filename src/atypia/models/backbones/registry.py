"""The registry of backbones: one entry a pretrained network.

A new backbone is one file in this folder that calls `register`; nothing else changes. Every entry
is picked up by the contract tests in `tests/contracts/`.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from atypia.errors import AtypiaError


@dataclass(frozen=True)
class BackboneSpec:
    """What is known of one pretrained network.

    Attributes:
        key: the name in recipes and bundles.
        build: `build(pretrained)` returns a module that maps normalised crops, float32
            (B, 3, P, P), to embeddings, float32 (B, `embedding`).
        embedding: width of an embedding.
        pooling: how the embedding is read off, in words; part of every bundle.
        input_px: the side the network was trained for, in px.
        mean: the network's normalisation, per channel of RGB in [0, 1].
        std: likewise.
        lora_pattern: regular expression for the full names of the layers that LoRA adapts.
        licence: the weights' licence, as far as known.
        access: where the weights come from and what that asks of a user.
        citation: what to cite.
    """

    key: str
    build: Callable[[bool], nn.Module]
    embedding: int
    pooling: str
    input_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    lora_pattern: str
    licence: str
    access: str
    citation: str


_SPECS: dict[str, BackboneSpec] = {}


def register(spec: BackboneSpec) -> None:
    """Add a backbone.

    Raises:
        ValueError: the key is taken.
    """
    if spec.key in _SPECS:
        raise ValueError(f"backbone {spec.key!r} is registered twice")
    _SPECS[spec.key] = spec


def backbone_keys() -> list[str]:
    """Return the keys of all backbones, sorted."""
    _find()
    return sorted(_SPECS)


def backbone_spec(key: str) -> BackboneSpec:
    """Return the entry of one backbone.

    Raises:
        AtypiaError: no backbone has this key; the nearest is offered.
    """
    _find()
    if key not in _SPECS:
        near = difflib.get_close_matches(key, _SPECS, n=1, cutoff=0.0)
        raise AtypiaError(
            f"backbone {key!r} is not known; did you mean {near[0]!r}? "
            f"(known: {', '.join(sorted(_SPECS))})"
        )
    return _SPECS[key]


def _find() -> None:
    """Import every file of this folder once, so that a new one registers by being there."""
    package = importlib.import_module(__package__ or "")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
