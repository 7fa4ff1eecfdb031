"""Embeddings of crops that lie in arrays."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import numpy.typing as npt
import torch

from atypia.models.classifier import Classifier
from atypia.models.devices import Device, choose_device
from atypia.models.ensemble import Ensemble

FloatArray = npt.NDArray[np.float32]


class Embedder:
    """The backbone of the first member of an ensemble, which stays where it is.

    Args:
        ensemble: in evaluation mode, on the CPU.
        device: auto, cpu or cuda, where the backbone runs.

    Raises:
        OptionError: a GPU is asked for and there is none that torch can use.
    """

    def __init__(self, ensemble: Ensemble, device: Device) -> None:
        self._device = choose_device(device)
        member = ensemble.members[0]
        assert isinstance(member, Classifier)
        on_cpu = self._device.type == "cpu"
        self._classifier = member if on_cpu else deepcopy(member).to(self._device)

    def embed(self, crops: FloatArray) -> FloatArray:
        """Return the embeddings, float32 (B, D), of crops, float32 (B, 3, P, P), RGB in [0, 1]."""
        with torch.inference_mode():
            values = self._classifier.embed(torch.from_numpy(crops).to(self._device))
        embeddings: FloatArray = values.float().cpu().numpy()
        return embeddings
