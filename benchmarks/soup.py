"""Members of several seeds: each alone, the mean of their logits, the mean of their weights.

python benchmarks/soup.py FIGURES OUT [section.key=value...]

The recipe is `lite`, changed as said, with LoRA. Folds are crossed as in `atypia ablate`: a run
leaves a domain out, and a part of the cases of the others. The mean of weights costs as much in
prediction as one member. Members lie in OUT; started again, it goes on there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from atypia.data.readers.opening import open_figures
from atypia.evaluation.comparison import JudgedFigures, Scores, compare
from atypia.models.adapters import AdapterConfig
from atypia.models.classifier import build_classifier
from atypia.training.devices import open_fabric
from atypia.training.loop import train_member
from atypia.training.recipe import read_recipe
from atypia.training.scoring import look_at
from atypia.workflows.ablation_bench import Bench, Job

SEEDS = (0, 1, 2)
State = Mapping[str, torch.Tensor]
Ints = npt.NDArray[np.int64]


def mean_of_weights(states: Sequence[State], config: AdapterConfig) -> tuple[State, AdapterConfig]:
    """Return the mean of LoRA members as one of so many times the rank.

    The mean of the additions B_i A_i is [B_1 ... B_n] [A_1; ...; A_n] / n.
    """
    mean = {}
    for name in states[0]:
        parts = [state[name] for state in states]
        if ".lora_A." in name:
            mean[name] = torch.cat(parts) / len(parts)
        elif ".lora_B." in name:
            mean[name] = torch.cat(parts, dim=1)
        else:
            mean[name] = torch.stack(parts).mean(dim=0)
    times = len(states)
    more = {"rank": config.rank * times, "alpha": config.alpha * times}
    return mean, config.model_copy(update=more)


def main() -> None:
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    bench = Bench.of(open_figures(Path(sys.argv[1])), Path(sys.argv[2]), "cpu", None)
    recipes = [read_recipe("lite", [*sys.argv[3:], f"seed={seed}"]) for seed in SEEDS]
    first = recipes[0]
    figures, windows = bench.training_figures(first), bench.shown(first)
    fabric = open_fabric("cpu", first.schedule)
    found = {
        arm: [Scores(*np.full((2, len(bench.table)), np.nan)) for _ in range(count)]
        for arm, count in (
            ("one member", len(SEEDS)),
            ("mean of logits", 1),
            ("mean of weights", 1),
        )
    }

    def keep(scores: Scores, fold: int, rows: Ints, logit: npt.NDArray[np.float32]) -> None:
        left = bench.left_out[rows] == fold
        scores.left_out[rows[left]], scores.held_out[rows[~left]] = logit[left], logit[~left]

    for fold, domain in enumerate(bench.domains):
        rows = np.flatnonzero((bench.left_out == fold) | (bench.held_out == fold))
        members = []
        for seed, recipe in zip(SEEDS, recipes, strict=True):
            print(f"without {domain}, seed {seed}", file=sys.stderr, flush=True)
            job = Job("member", seed, fold, recipe)
            members.append(
                train_member(
                    recipe,
                    windows,
                    figures,
                    rows,
                    bench.folder(job),
                    member=fold,
                    identity=bench.identity(job),
                    fabric=fabric,
                    on_progress=lambda at: None,
                    curve=False,
                )
            )
            keep(found["one member"][seed], fold, rows, members[-1].logit)
        mean = np.mean([one.logit for one in members], axis=0)
        keep(found["mean of logits"][0], fold, rows, mean)
        state, adapter = mean_of_weights([one.state for one in members], first.adapter)
        soup = build_classifier(
            first.backbone.key,
            adapter,
            phases=len(figures.phases) if first.phase.weight else 0,
            input_px=first.backbone.input_px,
        )
        soup.load_saved_state(state)
        shown = look_at(soup, windows, rows, first, fabric, exact=True)
        keep(found["mean of weights"][0], fold, rows, shown.logit.numpy())

    comparison = compare(
        JudgedFigures(figures.truth, figures.case, bench.left_out, bench.held_out, bench.domains),
        {arm: dict(enumerate(of)) for arm, of in found.items()},
        {"mean of weights": "mean of logits"},
    )
    for one in comparison.arms:
        for key, reached in one.reached.items():
            change = reached.difference
            told = ""
            if change is not None and change.interval is not None:
                low, high = change.interval.low, change.interval.high
                told = f"  to the mean of logits {change.value:+.4f} [{low:+.4f}, {high:+.4f}]"
            print(f"{one.name:<16} {key:<15} {reached.mean:.4f}{told}")


if __name__ == "__main__":
    main()
