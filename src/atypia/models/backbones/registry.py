"""The registry of backbones: one entry a pretrained network.

A new backbone is one file in this folder that calls `register`; nothing else changes. Every entry
is picked up by the contract tests in `tests/contracts/`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import nn

from atypia.errors import AtypiaError, suggest_name
from atypia.models.vit import VIT_LORA, PoolingKey, timm_vit

Channels = tuple[float, float, float]
Access = Literal["packaged", "open", "accept", "gated"]
Tensors = Mapping[str, torch.Tensor]

IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """A pretrained network.

    Attributes:
        key: the name in recipes and bundles.
        architecture: its name in timm.
        arguments: further arguments of timm.
        parameters: their number as published, without a classifier.
        embedding: width of an embedding.
        pooling: how the embedding is read off, a key of `vit.POOLING_WORDS`; part of every bundle.
        input_px: the side the network was trained for, in px.
        patch_px: side of a patch; a crop's side must be a multiple of it.
        mpp: resolutions it was trained at, um/px; empty where not known or not of tissue.
        mean: the network's normalisation, per channel of RGB in [0, 1].
        std: likewise.
        lora_pattern: regular expression for the full names of the layers that LoRA adapts.
        repository: on the Hugging Face Hub; "" where the weights come inside a package.
        files: names of the weights there, the one to prefer first.
        licence: the weights' licence.
        access: what getting the weights asks of a user.
        citation: what to cite.
        unverified: names of the fields above that no source of the vendor was seen for.
        build: builds the network from this entry, a side in px and a number of blocks (none: all,
            fewer are for tests; a network that is small anyway may ignore it), with random
            weights, on the ambient torch device. It maps normalised crops, float32 (B, 3, P, P),
            to embeddings, float32 (B, `embedding`).
        package: the Python package that the weights come inside; "" where they are a file.
        packaged: returns the weights in that package, by the network's names, which it is given;
            none where they are a file.
        rename: from a file's tensors to those of the network; none where the names are the same.
    """

    key: str
    architecture: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    parameters: int
    embedding: int
    pooling: PoolingKey
    input_px: int
    patch_px: int
    mpp: tuple[float, ...] = ()
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    lora_pattern: str = VIT_LORA
    repository: str
    files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin")
    licence: str
    access: Access
    citation: str
    unverified: frozenset[str] = frozenset()
    build: Callable[[BackboneSpec, int, int | None], nn.Module] = timm_vit
    package: str = ""
    packaged: Callable[[Sequence[str]], Tensors] | None = None
    rename: Callable[[Tensors], Tensors] | None = None

    def create(self, input_px: int | None = None, depth: int | None = None) -> nn.Module:
        """Build the true architecture with random weights, on the ambient torch device.

        Args:
            input_px: side of a crop; none takes the one it was trained for.
            depth: number of blocks, for tests; none builds all.

        Raises:
            AtypiaError: the network cannot look at crops of this side.
        """
        side = self.input_px if input_px is None else input_px
        self.require_input_px(side)
        return self.build(self, side, depth)

    def require_input_px(self, input_px: int) -> None:
        """Refuse a side that is not a whole number of patches.

        Raises:
            AtypiaError: naming the nearest sides that are.
        """
        if input_px < self.patch_px or input_px % self.patch_px:
            below = max(1, input_px // self.patch_px) * self.patch_px
            raise AtypiaError(
                f"backbone.input_px {input_px}: {self.key} takes multiples of {self.patch_px} px, "
                f"such as {below}, {below + self.patch_px} or {self.input_px}, which it was "
                "trained for"
            )

    @property
    def is_installed(self) -> bool:
        """Whether the package that holds the weights is installed."""
        return bool(self.package) and find_spec(self.package) is not None

    @property
    def page(self) -> str:
        """Where the weights, their licence and their conditions are; "" for a packaged one."""
        return f"https://huggingface.co/{self.repository}" if self.repository else ""

    def display(self, name: str) -> str:
        """Return a field as text, marked where it is not verified."""
        return f"{getattr(self, name)}{' (not verified)' if name in self.unverified else ''}"


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
    _import_all()
    return sorted(_SPECS)


def backbone_spec(key: str) -> BackboneSpec:
    """Return the entry of one backbone.

    Raises:
        AtypiaError: no backbone has this key; the nearest is offered.
    """
    _import_all()
    if key not in _SPECS:
        raise AtypiaError(
            f"backbone {key!r} is not known; the backbones are "
            f"{', '.join(sorted(_SPECS))}{suggest_name(key, _SPECS)}"
        )
    return _SPECS[key]


def _import_all() -> None:
    """Import every file of this folder once, so that a new one registers by being there."""
    package = importlib.import_module(__package__ or "")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
