"""The published weights that a training needs: found, hashed, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

from atypia.errors import AtypiaError
from atypia.files import sha256
from atypia.models.backbones.registry import backbone_spec
from atypia.models.weights import find_weights
from atypia.training.recipe import Recipe


def backbone_weights(recipe: Recipe, given: Path | str | None) -> tuple[Path | None, str]:
    """Find the backbone's published weights and hash them, before any work.

    Args:
        recipe: of the training.
        given: file or folder of them; none takes them from the package or the local Hugging Face
            cache.

    Returns:
        The file and its SHA-256; none and "" where no file is needed.

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
        if recipe.adapter.kind != "full":
            raise AtypiaError(
                f"backbone.pretrained is false with adapter.kind {recipe.adapter.kind!r}: a bundle "
                "would keep what is trained, and nobody could build the rest; use adapter.kind=full"
            )
        return None, ""
    file = find_weights(spec, None if given is None else Path(given))
    return file, "" if file is None else sha256(file)
