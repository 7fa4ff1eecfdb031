"""Which components `lite` would have, were the rule applied to the ablation without each domain.

python benchmarks/choice.py FIGURES RUNS.jsonl

The rule: a component is on if `plain` with it alone is better than `plain` in AUROC, held out or
left out, by an interval that excludes zero. First on all domains, then on the other five of each: a
choice that changes when a domain is not looked at was made on what that domain is judged by.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from atypia.data.domains import domain_names
from atypia.data.readers.open_figures import open_figures
from atypia.evaluation.comparison import JudgedFigures, Scores, compare
from atypia.training.ablation import read_plan
from atypia.workflows.ablation_bench import Bench

MEASURES = ("held_out_auroc", "left_out_auroc")


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    bench = Bench.of(open_figures(Path(sys.argv[1])), Path(sys.argv[2]).parent, "cpu", None)
    plan = read_plan("components")
    jobs = bench.jobs(plan)
    lines = bench.find_finished(jobs)[0]
    arms = ["plain", *(arm.name for arm in plan.arms if arm.name.startswith("plain +"))]
    scores: dict[str, dict[int, Scores]] = {}
    for arm in arms:
        for seed in plan.seeds:
            own = [line for (name, of, _), line in lines.items() if (name, of) == (arm, seed)]
            if len(own) == len(bench.runs_without):
                scores.setdefault(arm, {})[seed] = bench.scores(own)
    figures = bench.training_figures(jobs[0].recipe)
    domains = domain_names(bench.table.frame)
    everything = np.ones(len(figures.truth), dtype=bool)
    print("judged by: components on")
    for title, rows in [
        ("all domains", everything),
        *(
            (f"without {name}", bench.left_out != fold)
            for fold, name in enumerate(bench.runs_without)
        ),
    ]:
        comparison = compare(
            JudgedFigures(
                figures.truth[rows],
                figures.case[rows],
                domains[rows],
                bench.left_out[rows],
                bench.held_out[rows],
            ),
            {
                arm: {
                    seed: Scores(one.left_out[rows], one.held_out[rows]) for seed, one in of.items()
                }
                for arm, of in scores.items()
            },
            dict.fromkeys(arms[1:], "plain"),
        )
        chosen = [
            arm.name.removeprefix("plain + ")
            for arm in comparison.arms
            if any(
                arm.results[key].difference is not None
                and arm.results[key].difference.verdict == "better"
                for key in MEASURES
            )
        ]
        print(f"{title}: {', '.join(chosen)}", flush=True)


if __name__ == "__main__":
    main()
