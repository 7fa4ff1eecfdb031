"""Distillation: teachers score the crops that the student sees, and their scores are its targets.

After Beyer et al. 2022 (Knowledge distillation: a good teacher is patient and consistent): teacher
and student see the same view of a figure, also where it is mixed with another one, and training is
long. With P of the teachers and the share v of votes, the target is w P + (1 - w) v; binary
cross-entropy to it is, but for a constant, the same mixture of the divergence from the teachers and
the loss on votes (Hinton et al. 2015, sec. 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from pydantic import Field, field_validator

from atypia.models.classifier import Classifier
from atypia.models.folding import FoldedMembers
from atypia.training.crop_windows import View
from atypia.training.section import Section, Share


class DistillationSection(Section):
    """Distillation: teachers score the crops that the student sees (Beyer et al. 2022)."""

    teachers: tuple[str, ...] = Field(
        (), description="bundles, or folders of trainings on the same folds; none is off"
    )
    weight: Share = Field(
        0.5, description="share of the teachers in the target; the rest are the votes"
    )
    unlabelled_share: Share = Field(
        0.5, description="unlabelled figures in a step, as a share of the labelled ones"
    )
    turned: bool = Field(
        False,
        description="teachers see the crop turned or mirrored, so that the student learns to "
        "answer the same however a figure lies",
    )

    @field_validator("teachers", mode="before")
    @classmethod
    def _one_is_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


@dataclass(frozen=True)
class Teacher:
    """Networks that look at a figure alike: an ensemble, or one.

    Attributes:
        view: how they see it.
        networks: on the CPU, uncalibrated; `Teachers` folds them in place.
    """

    view: View
    networks: Sequence[Classifier]


class Teachers:
    """Teachers at work; what they say of a crop is the mean of their logits."""

    def __init__(self, teachers: Sequence[Teacher], fabric: Fabric) -> None:
        """Take networks to the device.

        Args:
            teachers: one or more.
            fabric: device and precision, launched.
        """
        self.views = [teacher.view for teacher in teachers]
        self._fabric = fabric
        self._ensembles = [
            FoldedMembers(teacher.networks, teacher.view.input_px).to(fabric.device)
            for teacher in teachers
        ]

    @torch.no_grad()
    def score(self, crops: Sequence[torch.Tensor], symmetry: int = 0) -> torch.Tensor:
        """Return the logit of P(atypical), float32 (B,).

        Args:
            crops: for each teacher, float32 (B, 3, P, P), RGB in [0, 1].
            symmetry: 0 to 7, the one of the square's in which they look at them; 0 is as they are.
        """
        crops = [turn(seen, symmetry) for seen in crops]
        with self._fabric.autocast():
            logits = [
                torch.stack([output.logit for output in ensemble(seen)]).mean(dim=0)
                for ensemble, seen in zip(self._ensembles, crops, strict=True)
            ]
        return torch.stack(logits).mean(dim=0)


def turn(crops: torch.Tensor, symmetry: int) -> torch.Tensor:
    """Return crops (B, 3, P, P) in one of the 8 symmetries of the square; 0 is as they are."""
    turned = torch.rot90(crops, symmetry % 4, (2, 3))
    return turned.flip(3) if symmetry >= 4 else turned


def mix_in_teachers(
    weight: float,
    seen: Sequence[torch.Tensor],
    labels: Sequence[torch.Tensor],
    unlabelled: Sequence[torch.Tensor],
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Put unlabelled figures before those of a batch, and make targets that can be mixed.

    The target of a figure is s P + v, with P of the teachers for its crop: s is `weight` and v the
    rest of its votes; of an unlabelled figure s is 1 and v 0.

    Args:
        weight: share of the teachers, in [0, 1].
        seen: crops of R figures as the student and each teacher see them, (R, 3, P, P) each.
        labels: of the figures: target, weight in the loss and offset, (R,) each, phase (R, phases),
            in the order target, weight, phase, offset.
        unlabelled: crops of U others, likewise; empty for none.

    Returns:
        The crops, (U + R, 3, P, P) each; and the labels s, v, weight, phase, offset of all. An
        unlabelled figure weighs 1, and has no phase and no offset.
    """
    target, loss_weight, phase, offset = labels
    share = torch.full_like(target, weight)
    all_labels = [share, (1 - share) * target, loss_weight, phase, offset]
    if not unlabelled:
        return list(seen), all_labels
    count = len(unlabelled[0])
    ones, zeros = target.new_ones(count), target.new_zeros(count)
    first = [ones, zeros, ones, phase.new_zeros(count, phase.shape[1]), zeros]
    return (
        [torch.cat(both) for both in zip(unlabelled, seen, strict=True)],
        [torch.cat(both) for both in zip(first, all_labels, strict=True)],
    )
