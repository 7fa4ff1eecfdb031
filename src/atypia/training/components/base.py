"""The interface of a component, for the recipe, the stepper and the requirements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from atypia.training.section import Section

if TYPE_CHECKING:
    from atypia.training.figures import TrainingFigures

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Material:
    """The figures that a member would be trained on.

    Attributes:
        figures: all N figures.
        rows: int64 (R,), those that are trained on.
        adapt_to: int64 (M,), domains of the unlabelled figures to adapt to, if there are any.
        seed: of the recipe.
    """

    figures: TrainingFigures
    rows: Rows
    adapt_to: Rows | None
    seed: int


@dataclass(frozen=True)
class Lack:
    """What figures lack for a component to work.

    Attributes:
        what: is missing, in words.
        remedy: in words.
    """

    what: str
    remedy: str


class Component(Section):
    """A component with requirements on the figures.

    Attributes:
        switch: the key of its section that switches it on.
        off: the value that switches it off.
    """

    switch: ClassVar[str]
    off: ClassVar[float | bool]

    def find_lack(self, material: Material) -> Lack | None:
        """Return what the figures lack; None where the component is off or can work."""
        return None


class Outputs(NamedTuple):
    """Outputs of the network for a batch, as a loss takes them.

    Attributes:
        logit: float32 (B,), of P(atypical), of the possibly mixed crops.
        phase: float32 (B, phases), likewise; None without a phase head.
        head: output of the component's own head for the A unmixed crops, see
            `LossComponent.apply_head`; None without one.
    """

    logit: torch.Tensor
    phase: torch.Tensor | None
    head: torch.Tensor | None


class Labels(NamedTuple):
    """Labels of a batch.

    Attributes:
        phase: float32 (B, phases), of the possibly mixed crops, mixed likewise.
        atypical: bool (L,), the class of each labelled unmixed crop.
        unanimous: bool (L,), whether its experts agree.
        slide: int64 (L,), a number for each slide.
        domain: int64 (A,), a number for each domain, of all unmixed crops; the A - L unlabelled
            ones come last.
    """

    phase: torch.Tensor
    atypical: torch.Tensor
    unanimous: torch.Tensor
    slide: torch.Tensor
    domain: torch.Tensor


class LossComponent(Component, ABC):
    """An auxiliary loss, with or without a head of its own.

    Attributes:
        sees: the crops that its head takes; MixUp leaves "unmixed" ones as they are.
        second_view: half of a batch is augmented once more for it.
        unlabelled_share: figures of a laboratory to adapt to in a step, as a share of the labelled
            ones; 0 for none.
        rate_factor: learning rate of its head, relative to the other heads.
        trains_backbone: it acts through the backbone only, and is refused where that is frozen.
        min_batch: figures in a step that it needs, and why.
    """

    switch: ClassVar[str] = "weight"
    off: ClassVar[float | bool] = 0.0
    sees: ClassVar[Literal["mixed", "unmixed"]] = "mixed"
    second_view: ClassVar[bool] = False
    unlabelled_share: ClassVar[float] = 0.0
    rate_factor: ClassVar[float] = 1.0
    trains_backbone: ClassVar[bool] = False
    min_batch: ClassVar[tuple[int, str]] = (1, "")

    weight: float = Field(0.0, ge=0, le=10, description="weight of the loss; 0 is off")

    def build_head(self, embedding: int, figures: TrainingFigures) -> nn.Module | None:
        """Build the head for embeddings (B, `embedding`); None without one of its own."""
        return None

    def apply_head(
        self, head: nn.Module, embedding: torch.Tensor, logit: torch.Tensor, done: float
    ) -> torch.Tensor:
        """Return the output of the head.

        Args:
            head: from `build_head`.
            embedding: float32 (A, D), of unmixed crops.
            logit: float32 (A,), of P(atypical).
            done: share of the training that is done, in [0, 1].
        """
        output: torch.Tensor = head(embedding)
        return output

    @abstractmethod
    def compute_loss(self, outputs: Outputs, labels: Labels) -> torch.Tensor:
        """Return the mean loss over a batch, a float32 scalar, before weighting."""
