"""Time of a training step of `lite` on this CPU, as ratios in one run.

python benchmarks/step.py [INPUT_PX BATCH]
"""

from __future__ import annotations

import statistics
import sys
import time

import torch

from atypia.models.classifier import Classifier, build_classifier
from atypia.models.cpu import depthwise_in_float32
from atypia.models.folding import fold_in_training
from atypia.platform import keep_freed_memory
from atypia.training.recipe_file import read_recipe

REPEATS = 5
INPUT_PX, BATCH = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (160, 64)


def seconds(network: Classifier, bf16: bool) -> float:
    crops = torch.rand(BATCH, 3, INPUT_PX, INPUT_PX).to(memory_format=torch.channels_last)
    times = []
    for _ in range(REPEATS + 2):
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = network(crops).logit.mean()
        loss.backward()
        network.zero_grad()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[2:])


def main() -> None:
    network = build_classifier("lite", read_recipe("lite").adapter, pretrained=False).train()
    network = network.to(memory_format=torch.channels_last)
    rows = [("float32", seconds(network, bf16=False)), ("bf16", seconds(network, bf16=True))]
    depthwise_in_float32(network)
    rows.append(("bf16, depthwise in float32", seconds(network, bf16=True)))
    keep_freed_memory()
    rows.append(("the same, freed memory kept", seconds(network, bf16=True)))
    fold_in_training(network.backbone, INPUT_PX)
    rows.append(("and folded (as trained)", seconds(network, bf16=True)))
    network.backbone.compile()
    rows.append(("the same by torch.compile", seconds(network, bf16=True)))
    print(f"a step of {BATCH} crops of {INPUT_PX} px, {torch.get_num_threads()} threads, median")
    for name, took in rows:
        print(f"{name:<42} {took:6.2f} s  {BATCH / took:6.1f} crops/s  x {rows[0][1] / took:.2f}")


if __name__ == "__main__":
    main()
