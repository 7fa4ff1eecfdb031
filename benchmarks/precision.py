"""What float32 in place of bf16 does to an ablation's AUROC, beside what a seed does.

python benchmarks/precision.py FIGURES RUNS.jsonl

Runs are those of `atypia ablate`. Of every arm whose seeds were not all computed alike: for each
seed its precisions, and its AUROC within the figures that a run held out, mean over the runs.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from atypia.data.readers.open_figures import open_figures
from atypia.training.ablation import read_plan
from atypia.workflows.ablation_bench import Bench


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    bench = Bench.of(open_figures(Path(sys.argv[1])), Path(sys.argv[2]).parent, "cpu", None)
    jobs = bench.jobs(read_plan("components"))
    lines = bench.with_weights(jobs, None).find_finished(jobs)[0]
    truth = bench.training_figures(jobs[0].recipe).truth
    auroc: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    precisions: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for (arm, seed, fold), line in lines.items():
        score = roc_auc_score(truth[bench.held_out == fold], line.held_out_logit)
        auroc[arm][seed].append(float(score))
        precisions[arm][seed].add(line.precision)
    for arm, seeds in auroc.items():
        if len(set().union(*precisions[arm].values())) > 1:
            parts = [
                f"seed {seed} {np.mean(scores):.4f} ({' and '.join(sorted(precisions[arm][seed]))})"
                for seed, scores in sorted(seeds.items())
            ]
            print(f"{arm:<22} {', '.join(parts)}")


if __name__ == "__main__":
    main()
