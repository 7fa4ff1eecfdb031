"""What every runtime does: it computes the outputs of a bundle's members for crops.

A runtime is one file of this folder: it holds a subclass of `Runtime`, names it `RUNTIME`, and its
own name is the key. Torch is the reference; the others compute the same function.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from atypia.bundle.load import Bundle
from atypia.inference.options import Precision, PredictOptions

FloatArray = npt.NDArray[np.float32]

# Beyond this many Python is the bottleneck, so each network thread gets several cores.
_MOST_WORKERS = 4


class Outputs(NamedTuple):
    """The outputs of the members for a batch.

    Attributes:
        logits: float32 (members, B).
        phase: float32 (B, phases), the members' mean probability of each phase; None where the
            bundle does not know phases.
    """

    logits: FloatArray
    phase: FloatArray | None


def join_outputs(parts: Sequence[Outputs]) -> Outputs:
    """Return the outputs of a batch from those of its parts, in their order."""
    phases = [part.phase for part in parts if part.phase is not None]
    logits = np.concatenate([part.logits for part in parts], axis=1)
    return Outputs(logits, np.concatenate(phases) if phases else None)


class Runtime(ABC):
    """The members of a bundle, ready to compute.

    Attributes:
        key: as `--runtime` names it.
        extra: what `pip install 'atypia[EXTRA]'` brings it; "" where atypia itself does.
        modules: of Python, which must be installed.
        precisions: that it computes in on a CPU.
        version_text: its name and version, such as `onnxruntime 1.32.0`.
        on_gpu: whether it computes on a GPU.
        device_name: `cpu`, or the GPU's name.
        precision: of convolutions and matrix products; the head and the logits are float32.
        members: how many networks it computes.
        threads: of the CPU, shared by all batches in work.
    """

    key: ClassVar[str]
    extra: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]
    precisions: ClassVar[tuple[Precision, ...]]

    version_text: str
    on_gpu: bool
    device_name: str
    precision: Precision
    members: int
    threads: int

    @classmethod
    @abstractmethod
    def why_not(cls, folder: Path, options: PredictOptions) -> str:
        """Return why it cannot compute a bundle with these options; "" where it can."""

    @classmethod
    @abstractmethod
    def choose_precision(cls, options: PredictOptions) -> Precision:
        """Return the precision asked for; `auto` is the fastest here."""

    @classmethod
    @abstractmethod
    def load(cls, bundle: Bundle, options: PredictOptions) -> Self:
        """Load the members of a bundle.

        Raises:
            BundleError: the bundle, or a file exported from it, is at fault.
            OptionError: an option is out of range or asks for what is not here.
        """

    @abstractmethod
    def infer(self, crops: FloatArray) -> Outputs:
        """Compute the outputs of all members for crops, float32 (B, 3, P, P), RGB in [0, 1]."""

    @abstractmethod
    def pool(self) -> AbstractContextManager[ThreadPoolExecutor]:
        """Give threads that may each call `infer`, and share the CPU between them."""

    @property
    def workers(self) -> int:
        """How many batches are computed at a time."""
        return 1 if self.on_gpu else min(self.threads, _MOST_WORKERS)

    @classmethod
    def is_installed(cls) -> bool:
        """Whether all that it needs is installed; nothing is imported."""
        return all(find_spec(name) is not None for name in cls.modules)

    @classmethod
    def why_not_installed(cls) -> str:
        """Return what installs it; "" where it is installed."""
        if cls.is_installed():
            return ""
        package = f"'atypia[{cls.extra}]'" if cls.extra else "atypia"
        return f"is not installed; pip install {package}"
