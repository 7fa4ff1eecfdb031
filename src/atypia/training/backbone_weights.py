"""The published weights of a training: find, hash, and refuse those that do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from atypia.errors import AtypiaError
from atypia.files import sha256
from atypia.models.backbones.registry import backbone_spec
from atypia.models.weights import find_weights
from atypia.training.recipe import Recipe


@dataclass(frozen=True)
class BackboneWeights:
    """The published weights of a backbone.

    Attributes:
        file: None where no file is needed.
        sha256: of the file; "" without one.
    """

    file: Path | None = None
    sha256: str = ""


def find_backbone_weights(recipe: Recipe, weights: Path | str | None) -> BackboneWeights:
    """Find the backbone's published weights and hash them, before any work.

    Args:
        recipe: of the training.
        weights: file or folder; None searches the package and the local Hugging Face cache.

    Raises:
        AtypiaError: they are not here, weights are named that are not needed, the backbone cannot
            take crops of this side, or an adapter would be trained on random weights.
    """
    spec = backbone_spec(recipe.backbone.key)
    spec.require_input_px(recipe.backbone.input_px)
    if not recipe.backbone.pretrained:
        if weights is not None:
            raise AtypiaError(
                f"{weights}: backbone.pretrained is false, so no weights are read; leave out "
                "--weights"
            )
        if not recipe.adapter.keeps_backbone:
            raise AtypiaError(
                f"backbone.pretrained is false with adapter.kind {recipe.adapter.kind!r}: a bundle "
                "would hold the adapter without the random weights below it; use adapter.kind=full"
            )
        return BackboneWeights()
    file = find_weights(spec, None if weights is None else Path(weights))
    return BackboneWeights() if file is None else BackboneWeights(file, sha256(file))
