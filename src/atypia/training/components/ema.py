"""Exponential moving average of the trained weights (timm's ModelEmaV3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import nn

from atypia.training.section import Section

if TYPE_CHECKING:
    from atypia.models.classifier import Classifier


class EmaSection(Section):
    """Exponential moving average of the weights (timm's ModelEmaV3)."""

    decay: float = Field(0.995, ge=0, lt=1, description="decay per step, after a warm-up; 0 is off")


class Averaging:
    """The moving average of a classifier's trained tensors; a frozen backbone is left out."""

    def __init__(self, classifier: Classifier, decay: float) -> None:
        """Begin at the classifier's weights.

        Args:
            classifier: on its device; its tensors are not copied.
            decay: in [0, 1), reached after a warm-up; 0 keeps no average.
        """
        from timm.utils.model_ema import ModelEmaV3

        self._classifier = classifier
        self._live = _TrainedTensors(classifier)
        self._mean = ModelEmaV3(self._live, decay=decay, use_warmup=True) if decay else None

    def update(self, step: int) -> None:
        """Add the weights after a step to the average."""
        if self._mean is not None:
            self._mean.update(self._live, step)

    @contextmanager
    def use_average(self) -> Iterator[Classifier]:
        """Put the average into the classifier, and restore its own weights afterwards."""
        if self._mean is None:
            yield self._classifier
            return
        live = list(self._live.state_dict().values())
        weights = [tensor.clone() for tensor in live]
        try:
            _copy(self._mean.module.state_dict().values(), live)
            yield self._classifier
        finally:
            _copy(weights, live)

    def state(self) -> dict[str, Any]:
        """Return the average, for a checkpoint; empty where `ema` is off."""
        return {} if self._mean is None else self._mean.module.state_dict()

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        if self._mean is not None:
            self._mean.module.load_state_dict(state)


class _TrainedTensors(nn.Module):
    """The tensors of a classifier that training changes, by number; they are not copied."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        tensors = classifier.state_dict(keep_vars=True)
        for number, name in enumerate(classifier.saved_names()):
            tensor = tensors[name]
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(str(number), tensor)
            else:
                self.register_buffer(str(number), tensor)


@torch.no_grad()
def _copy(source: Any, target: list[torch.Tensor]) -> None:
    for old, new in zip(target, source, strict=True):
        old.copy_(new)
