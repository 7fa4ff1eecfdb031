"""A student against its teachers, on groups of domains that none of them has seen.

python benchmarks/teachers.py runs/student runs/lite runs/lite2 --figures ami-br atnorm-md

The first run is the student; the others are its teachers, and "mean" is the mean of their logits.
All were trained with the same groups left out (`folds.scheme=domains`, `folds.domain_groups`).
Groups that the student has not finished are left out. Intervals are from a bootstrap over cases,
paired.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from atypia.data.readers.open_figures import open_figures
from atypia.data.votes import hard_labels
from atypia.evaluation.intervals import bootstrap_clusters
from atypia.evaluation.metrics import auroc

Floats = npt.NDArray[np.float64]


def read_logits(run: Path, group: str, figures: int) -> Floats:
    """Return the logits of the figures left out in a group, (N,), NaN of all others."""
    scores = load_file(run / "folds" / group / "scores.safetensors")
    logits = np.full(figures, np.nan)
    logits[scores["held_out"]] = scores["logit"]
    return logits


def auroc_difference(truth: Floats, one: Floats, other: Floats, weights: Floats) -> Floats:
    """Return AUROC of one less that of the other in each resample, (R,)."""
    differences = []
    for weight in weights:
        rows = np.repeat(np.arange(len(truth)), weight.astype(int))
        differences.append(auroc(truth[rows], one[rows]) - auroc(truth[rows], other[rows]))
    return np.array(differences)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("student", type=Path)
    parser.add_argument("teachers", type=Path, nargs="+")
    parser.add_argument("--figures", type=Path, nargs="+", required=True)
    parser.add_argument("--resamples", type=int, default=300)
    options = parser.parse_args()
    table = open_figures(options.figures)
    truth, cases = hard_labels(table.frame), table.frame["case"].to_numpy(dtype=object)
    done = sorted(path.parent.name for path in options.student.glob("folds/*/scores.safetensors"))
    whole: dict[str, Floats] = {}
    for group in [*done, "all"]:
        if group != "all":
            runs = {
                run.name: read_logits(run, group, len(table))
                for run in (options.student, *options.teachers)
            }
            runs["mean"] = np.mean([runs[run.name] for run in options.teachers], axis=0)
            for name, logits in runs.items():
                whole[name] = np.where(np.isnan(logits), whole.get(name, logits), logits)
        logits = whole if group == "all" else runs
        rows = np.isfinite(truth) & np.isfinite(logits["mean"])
        values = {name: auroc(truth[rows], each[rows]) for name, each in logits.items()}
        student, mean = logits[options.student.name][rows], logits["mean"][rows]
        interval = bootstrap_clusters(
            lambda weights, t=truth[rows], s=student, m=mean: auroc_difference(t, s, m, weights),  # type: ignore[misc]
            cases[rows],
            resamples=options.resamples,
            seed=0,
        )
        shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        ends = "" if interval is None else f" [{interval.low:+.4f}, {interval.high:+.4f}]"
        difference = values[options.student.name] - values["mean"]
        print(f"group {group}: {rows.sum():,} figures, AUROC {shown}; ", end="")
        print(f"{options.student.name} less mean {difference:+.4f}{ends}")


if __name__ == "__main__":
    main()
