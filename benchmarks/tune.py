"""Rate and length of a training, by successive halving (Jamieson and Talwalkar 2016).

python benchmarks/tune.py ami-br atnorm-md --recipe plain --set adapter.kind=lora --out docs/lora

Fixed before the first run: candidates are three rates over a factor of ten, and at the middle one
more weight decay or a longer warm-up. All are trained for 12 epochs, the better two for 24, the
best for 40, each by one seed, four groups of domains left out. Better is a higher mean AUROC over
the domains that were left out. What wins is the best of all that was trained, so that a shorter
training can win. A row a training; started again, it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from atypia.evaluation.comparison import HELD_OUT_AUROC, LEFT_OUT_AUROC, LEFT_OUT_BA
from atypia.training.ablation import Plan
from atypia.workflows.ablate import ablate

CANDIDATES = {
    "rate 3e-4": ("schedule.learning_rate=3e-4", "schedule.head_learning_rate=6e-4"),
    "rate 1e-3": ("schedule.learning_rate=1e-3", "schedule.head_learning_rate=2e-3"),
    "rate 3e-3": ("schedule.learning_rate=3e-3", "schedule.head_learning_rate=6e-3"),
    "rate 1e-3, weight decay 0.1": (
        *("schedule.learning_rate=1e-3", "schedule.head_learning_rate=2e-3"),
        "schedule.weight_decay=0.1",
    ),
    "rate 1e-3, warm-up 0.3": (
        *("schedule.learning_rate=1e-3", "schedule.head_learning_rate=2e-3"),
        "schedule.warmup=0.3",
    ),
}
ROUNDS = ((12, 5), (24, 2), (40, 1))
GROUPS, SEED = 4, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", type=Path, nargs="+", help="tables or folders")
    parser.add_argument("--recipe", default="plain", help="its rate and length are tuned")
    parser.add_argument("--set", action="append", default=[], help="section.key=value")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time, a thread each")
    asked = parser.parse_args()
    reached: dict[str, tuple[float, float, float]] = {}
    left = list(CANDIDATES)
    for epochs, count in ROUNDS:
        left = sorted(left, key=lambda name: -best_of(reached, name))[:count]
        arms = {f"{name}, {epochs} epochs": CANDIDATES[name] for name in left}
        plan = Plan.model_validate(
            {
                "name": f"{asked.recipe}, {epochs} epochs",
                "seeds": (SEED,),
                "domain_groups": GROUPS,
                "set": ("schedule.min_steps=1", f"schedule.epochs={epochs}", *asked.set),
                "arm": [
                    {"name": name, "recipe": asked.recipe, "set": changes}
                    for name, changes in arms.items()
                ],
            }
        )
        out = asked.out / f"{epochs}-epochs"
        result = ablate(asked.figures, plan, out, workers=asked.workers, threads=1, device="cpu")
        if result.done < result.of or result.comparison is None:
            raise SystemExit(f"{result.done} of {result.of} trainings are done: run it again")
        for arm in result.comparison.arms:
            measures = (LEFT_OUT_AUROC, LEFT_OUT_BA, HELD_OUT_AUROC)
            auroc, accuracy, held = (arm.results[measure.key].mean for measure in measures)
            reached[arm.name] = auroc, accuracy, held
        write_table(asked.out / "table.md", reached)


def best_of(reached: dict[str, tuple[float, float, float]], candidate: str) -> float:
    """Return the best AUROC of a candidate so far; 0 before the first round."""
    own = [auroc for name, (auroc, *_) in reached.items() if name.rpartition(", ")[0] == candidate]
    return max(own, default=0.0)


def write_table(path: Path, reached: dict[str, tuple[float, float, float]]) -> None:
    """Write all that was trained, the best first."""
    lines = ["| training | left out: AUROC | BA | held out: AUROC |", "| --- | --- | --- | --- |"]
    for name, values in sorted(reached.items(), key=lambda item: -item[1][0]):
        lines.append(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |")
    text = "\n".join(lines) + "\n"
    path.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
