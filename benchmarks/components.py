"""What each component adds to a training step of `lite` on this CPU, as ratios in one run.

python benchmarks/components.py [COMPONENT...]

A step here is everything an epoch costs, the renewal of hard negatives and gammas included,
divided by its steps; on a phantom cohort, at the recipes' own input and batch.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable
from atypia.training.batches import read_windows
from atypia.training.figures import training_figures
from atypia.training.loop import MemberInputs, train_member
from atypia.training.recipe import Recipe
from atypia.training.recipe_file import read_recipe

FIGURES, EPOCHS = 384, 3
SCHEDULE = [f"schedule.epochs={EPOCHS}", "schedule.min_steps=1"]
COMPONENTS = {
    "mixup": ["mixup.alpha=0.2"],
    "dawid-skene": ["soft_labels.method=dawid-skene"],
    "lora": ["adapter.kind=lora", "adapter.dropout=0"],
    "lora with dropout": ["adapter.kind=lora", "adapter.dropout=0.1"],
    "hard negatives": ["hard_negatives.oversampling=3"],
    "adaptive focal": ["focal.adaptive=true", "focal.beta=0.999"],
    "metric": ["contrastive.weight=0.2"],
    "domain": ["domain_adversarial.weight=0.1"],
    "sampling": ["sampling.class_balance=0.5", "sampling.domain_balance=0.5"],
    "phase": ["phase.weight=0.5"],
    "augment": [
        "augment.stain=0.2",
        "augment.brightness=0.1",
        "augment.blur=0.1",
        "augment.jpeg=0.1",
    ],
    "ema": ["ema.decay=0.995"],
}
EVERYTHING = [
    change
    for name, changes in COMPONENTS.items()
    if name != "lora with dropout"
    for change in changes
]


def step_seconds(table: FigureTable, recipe: Recipe, folder: Path) -> float:
    """Return the seconds of a step, all that an epoch does counted in; the first epoch is warm-up.

    Setting cases aside for gamma leaves fewer steps: the time is per step that is left.
    """
    windows = read_windows(table, recipe)
    ticks: list[float] = []
    train_member(
        MemberInputs(
            recipe,
            windows,
            training_figures(table, recipe.soft_labels),
            Fabric(accelerator="auto", devices=1, precision=recipe.schedule.precision),
        ),
        np.empty(0, dtype=np.int64),
        folder,
        member=0,
        identity="a benchmark",
        on_progress=lambda _: ticks.append(time.perf_counter()),
    )
    per_epoch = len(ticks) // EPOCHS
    return (ticks[-1] - ticks[per_epoch - 1]) / (len(ticks) - per_epoch)


def main() -> None:
    chosen = sys.argv[1:] or list(COMPONENTS)
    rows: list[tuple[str, list[str]]] = [("warm-up", []), ("plain", [])]
    rows += [(f"plain + {name}", COMPONENTS[name]) for name in chosen]
    rows += [("plain + all of them", EVERYTHING), ("plain, again", [])]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = make_phantom(folder / "cohort", figures=FIGURES, domains=3, slides_per_domain=12)
        first = None
        for number, (name, changes) in enumerate(rows):
            recipe = read_recipe("plain", [*SCHEDULE, *changes])
            if number == 0:
                size = f"{recipe.schedule.batch_size} crops of {recipe.backbone.input_px} px"
                print(f"a step of {size}, {torch.get_num_threads()} threads", flush=True)
            took = step_seconds(table, recipe, folder / str(number))
            if name == "warm-up":
                continue
            first = first or took
            print(f"{name:<26} {took:6.2f} s  x {took / first:.2f}", flush=True)


if __name__ == "__main__":
    main()
