"""The classifier: normalisation, backbone with its adapter, heads for P(atypical) and phase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from atypia.errors import BundleError
from atypia.models.adapter_config import AdapterConfig
from atypia.models.adapters import adapt
from atypia.models.backbones.registry import backbone_spec
from atypia.models.weights import find_weights, pretrained_backbone


class Output(NamedTuple):
    """The output of the classifier for a batch.

    Attributes:
        logit: float32 (B,); its sigmoid is P(atypical), uncalibrated.
        embedding: float32 (B, D), the backbone's.
        phase: float32 (B, phases), logits of each phase; None without a phase head.
    """

    logit: torch.Tensor
    embedding: torch.Tensor
    phase: torch.Tensor | None = None


class Classifier(nn.Module):
    """Crops to logits. Built by `build_classifier`.

    Attributes:
        views: so many of the square's symmetries of a crop are looked at when it does not train:
            1, 2 (a half turn), 4 (quarter turns) or 8 (mirrored as well). Their embeddings are
            averaged; the heads are linear, so that is the average of the logits.
    """

    mean: torch.Tensor
    std: torch.Tensor
    views: int

    def __init__(
        self,
        backbone: nn.Module,
        embedding: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        dropout: float,
        phases: int = 0,
    ) -> None:
        super().__init__()
        self.views = 1
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(embedding, 1)
        self.phase_head = nn.Linear(embedding, phases) if phases else None
        # Heads begin at zero: random logits are noise, which a backbone learns to still before
        # anything else, by shrinking its embedding; with LoRA most of it never came back.
        for head in (self.head, self.phase_head):
            if head is not None:
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)
        # Buffers move with the module but belong to the bundle's manifest, not to its weights.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, inputs: torch.Tensor) -> Output:
        """Classify crops.

        Args:
            inputs: crops, float32 (B, 3, P, P), RGB in [0, 1]; or their embeddings, float32
                (B, D), as `embed` gives them.

        Returns:
            Logits (B,), embeddings (B, D) and, with a phase head, phase logits (B, phases),
            all float32.
        """
        embedding = self.embed(inputs) if inputs.ndim == 4 else inputs.float()
        # The head is small and its logits are compared to the last digit: never in bf16.
        with torch.autocast(inputs.device.type, enabled=False):
            dropped = self.dropout(embedding)
            logit = self.head(dropped).squeeze(-1)
            phase = None if self.phase_head is None else self.phase_head(dropped)
        return Output(logit, embedding, phase)

    def embed(self, crops: torch.Tensor) -> torch.Tensor:
        """Return embeddings of crops, float32 (B, 3, P, P) in [0, 1] -> float32 (B, D)."""
        return average_views([self.backbone(view).float() for view in self.make_views(crops)])

    def make_views(self, crops: torch.Tensor) -> list[torch.Tensor]:
        """Return the backbone's inputs for crops, float32 (B, 3, P, P) in [0, 1].

        Returns:
            The crops normalised, (B, 3, P, P) each: as they are in training, else in `views` views.
        """
        normed = (crops - self.mean) / self.std
        if self.training or self.views == 1:
            return [normed]
        return list(_symmetries(normed, self.views))

    def saved_names(self) -> list[str]:
        """Return the names of the tensors a bundle keeps: what training changed.

        With a trained backbone these are all of them; with LoRA or a linear adapter, the
        additions and the head.
        """
        frozen = {name for name, p in self.named_parameters() if not p.requires_grad}
        if not frozen:
            return list(self.state_dict())
        return [name for name, p in self.named_parameters() if p.requires_grad]

    def saved_state(self) -> dict[str, torch.Tensor]:
        """Return the tensors of `saved_names`, on the CPU, contiguous."""
        state = self.state_dict()
        return {name: state[name].detach().cpu().contiguous() for name in self.saved_names()}

    def load_saved_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Load what `saved_state` gave.

        Raises:
            BundleError: a tensor is missing, unknown, or of another shape.
        """
        own = self.state_dict()
        expected = self.saved_names()
        wrong = sorted(set(expected) ^ set(state))
        if wrong:
            raise BundleError(
                f"tensor {wrong[0]!r} is {'missing' if wrong[0] in own else 'not expected'} "
                f"({len(wrong)} such in all); the weights belong to another network or adapter"
            )
        for name in expected:
            if state[name].shape != own[name].shape:
                raise BundleError(
                    f"tensor {name!r} has shape {tuple(state[name].shape)}, expected "
                    f"{tuple(own[name].shape)}; the weights belong to another network or adapter"
                )
        self.load_state_dict(dict(state), strict=False)


def average_views(embeddings: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the mean of one embedding a view, float32 (B, D) each."""
    return embeddings[0] if len(embeddings) == 1 else torch.stack([*embeddings]).mean(dim=0)


def _symmetries(crops: torch.Tensor, count: int) -> Iterator[torch.Tensor]:
    """Give crops, (B, C, P, P), turned by quarters (2: by halves), and with 8 mirrored as well."""
    for mirrored in (crops, crops.flip(-1))[: 2 if count == 8 else 1]:
        for turns in (0, 2) if count == 2 else range(4):
            view = torch.rot90(mirrored, turns, (-2, -1))
            yield view.contiguous(memory_format=torch.channels_last)


def build_classifier(
    backbone_key: str,
    adapter: AdapterConfig,
    *,
    dropout: float = 0.0,
    pretrained: bool = True,
    phases: int = 0,
    input_px: int | None = None,
    weights: Path | None = None,
) -> Classifier:
    """Build a classifier on a registered backbone.

    Args:
        backbone_key: a key of the registry.
        adapter: which part of the backbone is trained.
        dropout: on the embedding, before the head, in [0, 1).
        pretrained: load the backbone's published weights; not needed where all weights follow.
        phases: classes of a phase head; 0 builds none.
        input_px: side of a crop; none takes the one the backbone was trained for.
        weights: file or folder of the published weights; none takes them from the package or the
            local Hugging Face cache.

    Raises:
        AtypiaError: the backbone is unknown, its weights are not here or not its own, it cannot
            look at crops of this side, or the adapter does not fit it.
    """
    spec = backbone_spec(backbone_key)
    if pretrained:
        backbone = pretrained_backbone(spec, find_weights(spec, weights), input_px=input_px)
    else:
        backbone = spec.create(input_px)
    backbone = adapt(backbone, spec, adapter)
    return Classifier(backbone, spec.embedding, spec.mean, spec.std, dropout, phases)


def build_heads(backbone_key: str, *, dropout: float = 0.0, phases: int = 0) -> Classifier:
    """Build a classifier without its backbone, to be crops embeddings.

    Args:
        backbone_key: a key of the registry.
        dropout: on the embedding, before the heads, in [0, 1).
        phases: classes of a phase head; 0 builds none.
    """
    spec = backbone_spec(backbone_key)
    return Classifier(nn.Identity(), spec.embedding, spec.mean, spec.std, dropout, phases)
