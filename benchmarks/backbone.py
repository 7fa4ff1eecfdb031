"""A foundation model on this machine: speed, memory, utilisation, embedding and in a LoRA step.

python benchmarks/backbone.py h-optimus-0 --device cpu --batch 4 --crops 12

The whole architecture with random weights, in bf16. Utilisation is the rate of the model's own
arithmetic (PyTorch's flop counter) as a share of the rate at which this device multiplies large
matrices, measured in the same run. A LoRA step is one step of recipe `plain` at rank 8, with
augmentation, clipping and the optimiser.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from atypia.data.phantom import make_phantom
from atypia.inference.runtimes.torch import TorchRuntime
from atypia.models.adapters import AdapterConfig, adapt
from atypia.models.backbones.registry import BackboneSpec, backbone_spec
from atypia.models.classifier import build_classifier
from atypia.models.folding import FoldedMembers
from atypia.training.batches import read_windows
from atypia.training.devices import open_fabric
from atypia.training.figures import training_figures
from atypia.training.recipe_file import read_recipe
from atypia.training.stepper import MemberStepper

FIGURES = 64
LORA = AdapterConfig(kind="lora", rank=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("key", help="of `atypia models list`")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=4, help="crops at once [4; a GPU wants 128]")
    parser.add_argument("--crops", type=int, default=12, help="to measure with, after a warm-up")
    parser.add_argument("--checkpointing", action="store_true", help="compute activations again")
    parser.add_argument("--compile", action="store_true", help="the LoRA step by torch.compile")
    arguments = parser.parse_args()
    spec, device = backbone_spec(arguments.key), torch.device(arguments.device)
    repeats = max(1, arguments.crops // arguments.batch)

    rate = matrix_rate(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{spec.key}, {spec.parameters / 1e6:.0f} M parameters, {spec.input_px} px, bf16")
    print(f"{name}, {torch.get_num_threads()} threads: matrices at {rate / 1e12:.2f} TFLOP/s")
    torch.manual_seed(0)
    for task, measure in (("embedding", embedding), ("LoRA step", lora_step)):
        flops = flops_of(spec, train=task != "embedding")
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        once = measure(spec, arguments)
        took = median_seconds(once, repeats, device)
        print(
            f"{task:<10} {arguments.batch / took:8.2f} crops/s   {flops / 1e12:.2f} TFLOP a crop   "
            f"utilisation {flops * arguments.batch / took / rate:4.0%}   "
            f"peak memory {peak_memory(device) / 2**30:.1f} GiB"
        )
        del once


def embedding(spec: BackboneSpec, arguments: argparse.Namespace) -> Callable[[], object]:
    """Return what embeds one batch, as prediction does it."""
    member = build_classifier(spec.key, AdapterConfig(kind="linear"), pretrained=False)
    folded = FoldedMembers([member], spec.input_px, bf16=True)
    runtime = TorchRuntime(folded, torch.device(arguments.device), "bf16")
    crops = torch.rand(arguments.batch, 3, spec.input_px, spec.input_px).numpy()
    return lambda: runtime.infer(crops)


def lora_step(spec: BackboneSpec, arguments: argparse.Namespace) -> Callable[[], object]:
    """Return what takes one training step."""
    recipe = read_recipe(
        "plain",
        (
            f"backbone.key={spec.key}",
            f"backbone.input_px={spec.input_px}",
            "backbone.pretrained=false",
            "adapter.kind=lora",
            f"adapter.rank={LORA.rank}",
            f"schedule.batch_size={arguments.batch}",
            f"schedule.gradient_checkpointing={str(arguments.checkpointing).lower()}",
        ),
    )
    with tempfile.TemporaryDirectory() as place:
        table = make_phantom(Path(place), figures=FIGURES, domains=2, slides_per_domain=8)
        windows = read_windows(table, recipe)
    figures = training_figures(table, recipe.soft_labels)
    alike = np.full(FIGURES, 1 / FIGURES)
    fabric = open_fabric(arguments.device, recipe.schedule)
    trainee = MemberStepper(recipe, 0, fabric, windows, figures, alike, None)
    if arguments.compile:
        trainee.current.backbone.compile()
    rng = np.random.default_rng(0)
    return lambda: trainee.step(rng.integers(0, FIGURES, arguments.batch), 1, 100)


def flops_of(spec: BackboneSpec, *, train: bool) -> float:
    """Return the arithmetic of one crop, forward, and with `train` backward to LoRA's additions."""
    with torch.device("meta"):
        network: torch.nn.Module = spec.create()
        if train:
            network = adapt(network, spec, LORA)
        crop = torch.empty(1, 3, spec.input_px, spec.input_px)
    with FlopCounterMode(display=False) as counter:
        logit = network(crop)
        if train:
            logit.sum().backward()
    return float(counter.get_total_flops())


def matrix_rate(device: torch.device) -> float:
    """Return how many operations a second a large bf16 matrix product does."""
    side = 8192 if device.type == "cuda" else 2048
    one, other = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    return 2 * side**3 / median_seconds(lambda: one @ other, 10, device)


def median_seconds(once: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Return the median time of something after a warm-up."""
    times = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        once()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


def peak_memory(device: torch.device) -> float:
    """Return bytes: of the GPU since the last reset, or of this process since its start."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


if __name__ == "__main__":
    main()
