"""Vision transformers of timm as backbones: built from their entry, pooled by our own rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import timm
import torch
from torch import nn

if TYPE_CHECKING:
    from atypia.models.backbones.registry import BackboneSpec

PoolingKey = Literal["token", "token+mean", "mean"]

POOLING_WORDS: dict[PoolingKey, str] = {
    "token": "the class token",
    "token+mean": "the class token beside the mean of the patch tokens",
    "mean": "mean over all positions",
}

# Attention, and the layer that leaves the MLP. What enters a gated MLP is as large as all of
# these together: with it, rank 8 on H-optimus-0 takes 31.5 MB instead of 19.0. Never the
# convolution `patch_embed.proj`, which a list of suffixes (qkv, proj, ...) would match as well.
VIT_LORA = r"blocks\.\d+\.(attn\.(qkv|proj)|mlp\.fc2)"


class TokenPooling(nn.Module):
    """Reads an embedding off the tokens that a transformer ends with.

    Attributes:
        rule: a key of `POOLING_WORDS`.
        prefix: number of tokens before the first patch: class token, then registers.
    """

    def __init__(self, rule: PoolingKey, prefix: int) -> None:
        super().__init__()
        self.rule = rule
        self.prefix = prefix

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Pool tokens (B, T, W) to embeddings: (B, W), or (B, 2 W) for `token+mean`."""
        if self.rule == "token":
            return tokens[:, 0]
        mean = tokens[:, self.prefix :].mean(dim=1)
        return mean if self.rule == "mean" else torch.cat([tokens[:, 0], mean], dim=1)


def timm_vit(spec: BackboneSpec, input_px: int, depth: int | None) -> nn.Module:
    """Build a transformer with random weights on the ambient torch device.

    Args:
        spec: its `architecture` is timm's name, its `arguments` are timm's.
        input_px: side of a crop; position embeddings are made for it.
        depth: number of blocks, for tests; none builds all.

    Returns:
        timm's network under timm's names; in place of a classifier it ends with the pooling.
    """
    arguments = dict(spec.arguments)
    if depth is not None:
        arguments["depth"] = depth
    network: nn.Module = timm.create_model(
        spec.architecture,
        pretrained=False,
        num_classes=0,
        global_pool="",
        img_size=input_px,
        **arguments,
    )
    network.head = TokenPooling(spec.pooling, int(network.num_prefix_tokens))  # type: ignore[arg-type]
    return network
