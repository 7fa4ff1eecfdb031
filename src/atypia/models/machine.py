"""What torch finds on this machine."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from atypia.models.cpu import cpu_has_bf16


@dataclass(frozen=True)
class Machine:
    """What torch can use here.

    Attributes:
        torch: its version.
        threads: of the CPU, that it uses.
        gpu: name, memory and CUDA version of the GPU; "" without one.
        cpu: the CPU's vector instructions, such as AVX512.
        bf16: whether the CPU multiplies bf16 itself.
    """

    torch: str
    threads: int
    gpu: str
    cpu: str
    bf16: bool


def inspect_machine() -> Machine:
    """Ask torch what it can use here."""
    gpu = ""
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        gpu = f"{card.name}, {card.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
    return Machine(
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        gpu=gpu,
        cpu=torch.backends.cpu.get_cpu_capability(),
        bf16=cpu_has_bf16(),
    )


def load_torchvision() -> str:
    """Load torchvision's operators, which only works if it was built for this torch.

    Returns:
        Its version.

    Raises:
        ImportError, OSError, RuntimeError: it was built for another torch.
    """
    import torchvision
    from torchvision.ops import nms  # noqa: F401

    return str(torchvision.__version__)
