"""Members of several seeds: each alone, the mean of their logits, the mean of their weights (soup).

python benchmarks/soup.py FIGURES OUT [section.key=value...]

The recipe is `lite`, changed as said, with LoRA. Folds are crossed as in `atypia ablate`: a run
leaves a domain out, and a part of the cases of the others. Each is shown crops as they lie, and in
four views. A soup costs as much in prediction as one member. Members lie in OUT; started again, it
goes on there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from atypia.data.readers.open_figures import open_figures
from atypia.evaluation.comparison import Scores, compare
from atypia.models.adapters import AdapterConfig
from atypia.models.classifier import build_classifier
from atypia.training.devices import open_fabric
from atypia.training.loop import MemberInputs, train_member
from atypia.training.recipe_file import read_recipe
from atypia.training.scoring import infer
from atypia.workflows.ablation_bench import Bench, Job

SEEDS = (0, 1, 2)
VIEWS = (1, 4)
State = Mapping[str, torch.Tensor]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def soup(states: Sequence[State], adapter: AdapterConfig) -> tuple[State, AdapterConfig]:
    """Return the mean of LoRA members (Wortsman et al. 2022), as one of so many times the rank.

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
    more = {"rank": adapter.rank * len(states), "alpha": adapter.alpha * len(states)}
    return mean, adapter.model_copy(update=more)


def main() -> None:
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    bench = Bench.of(open_figures(Path(sys.argv[1])), Path(sys.argv[2]), "cpu", None)
    recipes = [read_recipe("lite", [*sys.argv[3:], f"seed={seed}"]) for seed in SEEDS]
    first = recipes[0]
    figures, windows = bench.training_figures(first), bench.read_source(first)
    fabric = open_fabric("cpu", first.schedule)
    all_scores: dict[str, dict[int, Scores]] = {}

    def keep(arm: str, seed: int, fold: int, rows: Ints, logit: Floats) -> None:
        empty = Scores(*np.full((2, len(bench.table)), np.nan))
        scores = all_scores.setdefault(arm, {}).setdefault(seed, empty)
        left = bench.left_out[rows] == fold
        scores.left_out[rows[left]], scores.held_out[rows[~left]] = logit[left], logit[~left]

    def logits(state: State, adapter: AdapterConfig, rows: Ints, views: int) -> Floats:
        network = build_classifier(
            first.backbone.key,
            adapter,
            phases=len(figures.phases) if first.phase.weight else 0,
            input_px=first.backbone.input_px,
        )
        network.load_saved_state(state)
        shown = first.backbone.model_copy(update={"views": views})
        recipe = first.model_copy(update={"backbone": shown})
        return infer(network, windows, rows, recipe, fabric, exact=True).logit.numpy()

    for fold, domain in enumerate(bench.runs_without):
        rows = np.flatnonzero((bench.left_out == fold) | (bench.held_out == fold))
        states: list[State] = []
        for seed, recipe in zip(SEEDS, recipes, strict=True):
            print(f"without {domain}, seed {seed}", file=sys.stderr, flush=True)
            job = Job("member", seed, fold, recipe)
            member = train_member(
                MemberInputs(recipe, windows, figures, fabric),
                rows,
                bench.folder(job),
                member=fold,
                identity=bench.identity(job),
                on_progress=lambda at: None,
                curve=False,
            )
            states.append(member.state)
        mixed, adapter = soup(states, first.adapter)
        for views in VIEWS:
            suffix = f", {views} views" if views > 1 else ""
            each: Sequence[Floats] = [logits(one, first.adapter, rows, views) for one in states]
            for seed, logit in zip(SEEDS, each, strict=True):
                keep(f"one member{suffix}", seed, fold, rows, logit)
            keep(f"mean of logits{suffix}", 0, fold, rows, np.mean(each, axis=0))
            keep(f"soup{suffix}", 0, fold, rows, logits(mixed, adapter, rows, views))

    comparison = compare(
        bench.judged_figures(figures),
        all_scores,
        {
            "one member, 4 views": "one member",
            "soup": "mean of logits",
            "soup, 4 views": "mean of logits",
        },
    )
    for one in comparison.arms:
        for key, reached in one.results.items():
            change = reached.difference
            suffix = ""
            if change is not None and change.interval is not None:
                low, high = change.interval.low, change.interval.high
                suffix = f"  to {one.against} {change.value:+.4f} [{low:+.4f}, {high:+.4f}]"
            print(f"{one.name:<23} {key:<15} {reached.mean:.4f}{suffix}")


if __name__ == "__main__":
    main()
