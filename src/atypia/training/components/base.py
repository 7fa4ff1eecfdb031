"""What a component is to those that loop over them: the recipe, the stepper, the requirements."""

from __future__ import annotations

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
    """What a member would be trained on.

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
        what: in words.
        remedy: what to do about it.
    """

    what: str
    remedy: str


class Component(Section):
    """A component that cannot work on all figures.

    Attributes:
        switch: the key of its section that switches it on.
        off: the value that switches it off.
    """

    switch: ClassVar[str]
    off: ClassVar[float | bool]

    def lack(self, material: Material) -> Lack | None:
        """Return what the figures lack, None where it is off or can work."""
        return None


class Answers(NamedTuple):
    """What the network says of a batch.

    Attributes:
        logit: float32 (B,), of P(atypical), of the crops that may be mixed.
        phase: float32 (B, phases), likewise; None without a phase head.
        head: what the component's own head says of the A unmixed crops, see `LossComponent.look`;
            None where it has none.
    """

    logit: torch.Tensor
    phase: torch.Tensor | None
    head: torch.Tensor | None


class Labels(NamedTuple):
    """What is known of a batch.

    Attributes:
        phase: float32 (B, phases), of the crops that may be mixed, mixed as they are.
        atypical: bool (L,), the class of each labelled unmixed crop.
        unanimous: bool (L,), whether its experts are of one mind.
        slide: int64 (L,), a number for each slide.
        domain: int64 (A,), a number for each domain, of all unmixed crops; the A - L unlabelled
            ones come last.
    """

    phase: torch.Tensor
    atypical: torch.Tensor
    unanimous: torch.Tensor
    slide: torch.Tensor
    domain: torch.Tensor


class LossComponent(Component):
    """A loss beside that of the class, with or without a head of its own.

    Attributes:
        sees: the crops that its head is shown; MixUp leaves "unmixed" ones as they are.
        second_view: half of a batch is shown to it once more, in another augmentation.
        unlabelled_share: figures of a laboratory to adapt to that it is shown in a step, as a
            share of the labelled ones; 0 for none.
        rate_factor: its head learns so many times as fast as the other heads.
        trains_backbone: it works through the backbone alone, and is refused where that is frozen.
        least_batch: figures in a step that it needs, and why.
    """

    switch: ClassVar[str] = "weight"
    off: ClassVar[float | bool] = 0.0
    sees: ClassVar[Literal["mixed", "unmixed"]] = "mixed"
    second_view: ClassVar[bool] = False
    unlabelled_share: ClassVar[float] = 0.0
    rate_factor: ClassVar[float] = 1.0
    trains_backbone: ClassVar[bool] = False
    least_batch: ClassVar[tuple[int, str]] = (1, "")

    weight: float = Field(0.0, ge=0, le=10, description="of the loss; 0 is off")

    def head(self, embedding: int, figures: TrainingFigures) -> nn.Module | None:
        """Build the head, of embeddings (B, `embedding`); None without one of its own."""
        return None

    def look(
        self, head: nn.Module, embedding: torch.Tensor, logit: torch.Tensor, done: float
    ) -> torch.Tensor:
        """Return what the head says.

        Args:
            head: from `head`.
            embedding: float32 (A, D), of unmixed crops.
            logit: float32 (A,), of P(atypical).
            done: share of the training that is done, in [0, 1].
        """
        said: torch.Tensor = head(embedding)
        return said

    def loss(self, answers: Answers, labels: Labels) -> torch.Tensor:
        """Return the mean loss over a batch, a float32 scalar, not weighted."""
        raise NotImplementedError
