"""The members of a bundle: networks with its weights, whose names and shapes must fit."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from atypia.bundle.load import Bundle
from atypia.bundle.manifest import BundleManifest
from atypia.errors import AtypiaError, BundleError
from atypia.files import sha256
from atypia.models.backbones.registry import BackboneSpec, backbone_spec
from atypia.models.classifier import Classifier, build_classifier, build_heads
from atypia.models.weights import find_weights


def load_members(
    bundle: Bundle, weights: Path | None = None, count: int | None = None
) -> tuple[Classifier, ...]:
    """Load the members of a bundle.

    Args:
        bundle: as `load_bundle` gives it: its files are as they were saved.
        weights: file or folder of the backbone's weights, where the bundle holds an adapter; none
            takes them from the package or the local Hugging Face cache.
        count: load the first so many; none loads all of them.

    Returns:
        In evaluation mode, float32, on the CPU; several are an ensemble. With a linear adapter they
        share one backbone.

    Raises:
        BundleError: the weights do not fit the network, or the backbone's weights are others than
            those it was trained on.
        AtypiaError: the backbone or its weights are not known here, or there are not so many
            members.
    """
    folder, manifest = bundle.folder, bundle.manifest
    names = manifest.first_members(count)
    spec = backbone_spec(manifest.backbone)
    if manifest.pooling != spec.pooling:
        raise BundleError(
            f"{folder}: embeddings are pooled as {manifest.pooling!r}, but here {spec.key} pools "
            f"as {spec.pooling!r}; use the atypia that made the bundle, or train it again"
        )
    file = _backbone_weights(folder, manifest, spec, weights)
    loaded: list[Classifier] = []
    for name in names:
        # Heads on a frozen backbone share it: a large one would not fit into memory five times.
        shared = loaded[0].backbone if loaded and not manifest.adapter.trains_backbone else None
        loaded.append(_load_member(folder / name, manifest, file, shared))
    return tuple(loaded)


def _backbone_weights(
    folder: Path, manifest: BundleManifest, spec: BackboneSpec, given: Path | None
) -> Path | None:
    """Return the file of the backbone's weights, none where none is needed."""
    if manifest.adapter.keeps_backbone:
        if given is not None:
            raise AtypiaError(f"{given}: {folder} holds all its weights; leave out --weights")
        return None
    file = find_weights(spec, given)
    if file is not None and manifest.weights_sha256:
        found = sha256(file)
        if found != manifest.weights_sha256:
            raise BundleError(
                f"{folder}: was trained on other weights of {spec.key} than {file} (sha256 "
                f"{manifest.weights_sha256[:12]}..., this is {found[:12]}...); give those with "
                "--weights, or train the bundle again"
            )
    return file


def _load_member(
    path: Path, manifest: BundleManifest, weights: Path | None, backbone: nn.Module | None
) -> Classifier:
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as fault:
        raise BundleError(
            f"{path}: cannot be read as safetensors ({fault}); fetch or train the bundle again"
        ) from fault
    unusable = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if unusable:
        raise BundleError(
            f"{path}: tensor {unusable[0]!r} holds values that are not finite; train it again"
        )
    if backbone is None:
        member = build_classifier(
            manifest.backbone,
            manifest.adapter,
            dropout=manifest.dropout,
            # With `full`, every tensor comes from the bundle.
            pretrained=not manifest.adapter.keeps_backbone,
            phases=len(manifest.phases),
            input_px=manifest.input_px,
            weights=weights,
        )
    else:
        dropout, phases = manifest.dropout, len(manifest.phases)
        member = build_heads(manifest.backbone, dropout=dropout, phases=phases)
        member.backbone = backbone
    try:
        member.load_saved_state(state)
    except BundleError as fault:
        raise BundleError(f"{path}: {fault}") from fault
    member.mean.copy_(torch.tensor(manifest.mean).view(1, 3, 1, 1))
    member.std.copy_(torch.tensor(manifest.std).view(1, 3, 1, 1))
    member.views = manifest.views
    return member.eval()
