"""The hardware of a training: one device, or the processes that torchrun or SLURM has started."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import lightning_fabric
import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from atypia.errors import RecipeError
from atypia.models.cpu import cpu_has_bf16
from atypia.models.devices import Device, choose_device
from atypia.training.recipe import Precision, ScheduleSection

Fabric = lightning_fabric.Fabric
"""What a training runs on; workflows, which import no torch, take its name from here."""


@dataclass(frozen=True)
class Hardware:
    """The hardware and software of a training.

    Attributes:
        device: "cpu" or "cuda:NUMBER".
        name: "cpu", or the name of the GPU.
        precision: that it computes in.
        threads: of the CPU.
        torch: its version.
    """

    device: str
    name: str
    precision: Precision
    threads: int
    torch: str


def open_fabric(device: Device, schedule: ScheduleSection) -> Fabric:
    """Return a fabric for a training, launched.

    Processes that torchrun or `srun` has started train together: each computes its share of every
    batch, and gradients are averaged (DistributedDataParallel).

    Args:
        device: auto, cpu or cuda.
        schedule: of the recipe, for precision and batch size. A CPU without bf16 instructions
            computes in float32 instead: bf16 would be five times slower there.

    Raises:
        OptionError: CUDA is asked for and there is none.
        RecipeError: the batch cannot be divided among the processes.
    """
    precision = _fast(choose_device(device), schedule.precision)
    logging.getLogger("lightning_fabric").setLevel(
        logging.WARNING
    )  # it prints a line on every start
    processes, nodes = _processes()
    if processes == 1:
        return Fabric(accelerator=device, devices=1, precision=precision)
    if schedule.batch_size % processes:
        raise RecipeError(
            f"schedule.batch_size {schedule.batch_size} cannot be divided among {processes} "
            f"processes; use a multiple of {processes}"
        )
    fabric = Fabric(
        accelerator=device,
        strategy="ddp",
        devices=processes // nodes,
        num_nodes=nodes,
        precision=precision,
    )
    fabric.launch()
    return fabric


def read_precision(fabric: Fabric) -> Precision:
    """Return the precision of a training."""
    return "32-true" if fabric.strategy.precision.precision == "32-true" else "bf16-mixed"


def describe_hardware(fabric: Fabric) -> Hardware:
    """Return the hardware of a training, for its record."""
    device = fabric.device
    return Hardware(
        device=str(device),
        name=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        precision=read_precision(fabric),
        threads=count_threads(),
        torch=torch.__version__,
    )


def count_threads() -> int:
    """Return the number of CPU threads that torch uses."""
    return torch.get_num_threads()


def limit_threads(threads: int) -> None:
    """Limit torch to a number of CPU threads."""
    torch.set_num_threads(threads)


def is_main_process() -> bool:
    """Return whether this process is the one that writes and prints."""
    if TorchElasticEnvironment.detect():
        return os.environ["RANK"] == "0"
    return not SLURMEnvironment.detect() or os.environ.get("SLURM_PROCID", "0") == "0"


def _fast(device: torch.device, precision: Precision) -> Precision:
    return "32-true" if device.type == "cpu" and not cpu_has_bf16() else precision


def _processes() -> tuple[int, int]:
    """Return the number of processes that train together, and of their nodes."""
    if TorchElasticEnvironment.detect():
        world = int(os.environ["WORLD_SIZE"])
        return world, world // int(os.environ["LOCAL_WORLD_SIZE"])
    if SLURMEnvironment.detect():
        return int(os.environ["SLURM_NTASKS"]), int(os.environ["SLURM_NNODES"])
    return 1, 1
