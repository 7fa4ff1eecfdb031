"""The published weights that a training needs: found, hashed, and refused where they do not fit."""

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
        file: that holds them; none where no file is needed.
        sha256: of the file; "" where there is none.
    """

    file: Path | None = None
    sha256: str = ""


def find_backbone_weights(recipe: Recipe, given: Path | str | None) -> BackboneWeights:
    """Find the backbone's published weights and hash them, before any work.

    Args:
        recipe: of the training.
        given: file or folder of them; none takes them from the package or the local Hugging Face
            cache.

    Raises:
        AtypiaError: they are not here, weights are given that are not needed, the backbone cannot
            look at crops of this side, or an adapter is trained on random weights.
    """
    spec = backbone_spec(recipe.backbone.key)
    spec.require_input_px(recipe.backbone.input_px)
    if not recipe.backbone.pretrained:
        if given is not None:
            raise AtypiaError(
                f"{given}: backbone.pretrained is false, so no weights are read; leave out "
                "--weights"
            )
        if not recipe.adapter.keeps_backbone:
            raise AtypiaError(
                f"backbone.pretrained is false with adapter.kind {recipe.adapter.kind!r}: a bundle "
                "would keep what is trained, and nobody could build the rest; use adapter.kind=full"
            )
        return BackboneWeights()
    file = find_weights(spec, None if given is None else Path(given))
    return BackboneWeights() if file is None else BackboneWeights(file, sha256(file))
