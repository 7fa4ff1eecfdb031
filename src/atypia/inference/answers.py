"""What every runtime gives: it looks at crops, and answers.

Torch is the reference; the others compute the same function from an exported file.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Precision = Literal["fp32", "bf16"]
Device = Literal["auto", "cpu", "cuda"]
RuntimeKey = Literal["auto", "torch", "onnx", "openvino"]

FloatArray = npt.NDArray[np.float32]


class Answers(NamedTuple):
    """What the members say of a batch.

    Attributes:
        logits: float32 (members, B).
        phase: float32 (B, phases), the members' mean probability of each phase; None where the
            bundle does not know phases.
    """

    logits: FloatArray
    phase: FloatArray | None


def joined(parts: Sequence[Answers]) -> Answers:
    """Return what is said of a batch from what is said of its parts, in their order."""
    phases = [one.phase for one in parts if one.phase is not None]
    logits = np.concatenate([one.logits for one in parts], axis=1)
    return Answers(logits, np.concatenate(phases) if phases else None)


class Runtime(Protocol):
    """The members of a bundle, ready to look at crops.

    Attributes:
        told: its name and version, such as `onnxruntime 1.32.0`.
        on_gpu: whether it computes on a GPU.
        device_name: `cpu`, or the GPU's name.
        precision: of convolutions and matrix products; the head and the logits are float32.
        members: how many networks answer.
    """

    told: str
    on_gpu: bool
    device_name: str
    precision: Precision
    members: int

    def look_at(self, crops: FloatArray) -> Answers:
        """Return what every member says of crops, float32 (B, 3, P, P), RGB in [0, 1]."""
        ...

    def pool(self, workers: int) -> AbstractContextManager[ThreadPoolExecutor]:
        """Give threads that may each call `look_at`, and share the CPU between them."""
        ...
