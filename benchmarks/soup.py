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
from atypia.data.splits import crossed_folds
from atypia.evaluation.comparison import JudgedFigures, Scores, compare
from atypia.models.adapters import AdapterConfig
from atypia.models.classifier import build_classifier
from atypia.training.batches import read_windows
from atypia.training.devices import open_fabric
from atypia.training.figures import training_figures
from atypia.training.loop import train_member
from atypia.training.recipe import deciding_values, read_recipe
from atypia.training.scoring import look_at

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
    table, out, changes = open_figures(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3:]
    recipes = [read_recipe("lite", [*changes, f"seed={seed}"]) for seed in SEEDS]
    first = recipes[0]
    figures = training_figures(table, first.soft_labels)
    fabric = open_fabric("cpu", first.schedule)
    windows = read_windows(table, first, out / "windows", lambda done, of: None)
    left_out, held_out, domains = crossed_folds(table.frame, 0)
    arms = ("one member", "mean of logits", "mean of weights")
    found = {arm: [Scores(*np.full((2, len(table)), np.nan)) for _ in SEEDS] for arm in arms}

    def keep(arm: str, seed: int, fold: int, rows: Ints, logit: npt.NDArray[np.float32]) -> None:
        whole = np.zeros(len(table))
        whole[rows] = logit
        for scores, of in (
            (found[arm][seed].left_out, left_out),
            (found[arm][seed].held_out, held_out),
        ):
            scores[of == fold] = whole[of == fold]

    for fold, domain in enumerate(domains):
        rows = np.flatnonzero((left_out == fold) | (held_out == fold))
        members = []
        for seed, recipe in zip(SEEDS, recipes, strict=True):
            print(f"without {domain}, seed {seed}", file=sys.stderr, flush=True)
            members.append(
                train_member(
                    recipe,
                    windows,
                    figures,
                    rows,
                    out / f"{fold}-{seed}",
                    member=fold,
                    identity=str(deciding_values(recipe)),
                    fabric=fabric,
                    on_progress=lambda at: None,
                    curve=False,
                )
            )
            keep("one member", seed, fold, rows, members[-1].logit)
        keep("mean of logits", 0, fold, rows, np.mean([one.logit for one in members], axis=0))
        state, adapter = mean_of_weights([one.state for one in members], first.adapter)
        soup = build_classifier(
            first.backbone.key,
            adapter,
            phases=len(figures.phases) if first.phase.weight else 0,
            input_px=first.backbone.input_px,
        )
        soup.load_saved_state(state)
        shown = look_at(soup, windows, rows, first, fabric, exact=True)
        keep("mean of weights", 0, fold, rows, shown.logit.numpy())

    comparison = compare(
        JudgedFigures(figures.truth, figures.case, left_out, held_out, tuple(domains)),
        {arm: dict(enumerate(of if arm == "one member" else of[:1])) for arm, of in found.items()},
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
