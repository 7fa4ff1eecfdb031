"""What the benchmarks of operating points share: the scores they judge, and how they judge them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.domains import domain_names, short_domain_names
from atypia.data.readers.open_figures import open_figures
from atypia.data.table import FigureTable
from atypia.data.votes import vote_matrix
from atypia.evaluation.intervals import draw_cluster_weights, percentile_interval
from atypia.evaluation.metrics import pool_small_domains
from atypia.training.figures import training_figures
from atypia.training.recipe import Recipe
from atypia.training.recipe_file import read_recipe
from atypia.workflows.ablation_bench import Bench
from atypia.workflows.ablation_runs import RunLine, read_runs

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

ARMS = ("plain", "lite")
RESAMPLES = 1000


@dataclass(frozen=True)
class Cohort:
    """N figures of D domains, with S sets of scores, one an arm and seed.

    Attributes:
        truth: float64 (N,), in {0, 1}.
        case: (N,), the case of each figure.
        domain: int64 (N,), the figure's; small ones are one (`pool_small_domains`).
        left_out: int64 (N,), the run that left the figure's domain out.
        held_out: int64 (N,), the run that held the figure's case out but knew its domain.
        crossed: whether a run that left a domain out also held out the cases that `held_out`
            gives it, as in an ablation; else others held them out.
        votes: float64 (N, E), of the experts, NaN where there is none.
        names: of the domains, short.
        arm: (S,), of each set.
        left: float64 (S, N), logits by the runs that left the figure's domain out.
        held: float64 (S, N), logits by the runs that held its case out; NaN where all runs left
            domains out.
    """

    truth: Floats
    case: npt.NDArray[np.object_]
    domain: Ints
    left_out: Ints
    held_out: Ints
    crossed: bool
    votes: Floats
    names: tuple[str, ...]
    arm: npt.NDArray[np.object_]
    left: Floats
    held: Floats

    @property
    def knows_domains(self) -> bool:
        """Whether there are scores by runs that knew a figure's domain."""
        return bool(np.isfinite(self.held).any())

    def balanced_accuracy(self, calls: Floats, weights: Floats | None = None) -> Floats:
        """Return balanced accuracy, (R, S, D), of calls (S, N) in [0, 1] and weights (R, N)."""
        weights = np.ones((1, len(self.truth))) if weights is None else weights
        accuracies = []
        for domain in range(len(self.names)):
            here = self.domain == domain
            positive, called, weight = self.truth[here], calls[:, here], weights[:, here]
            with np.errstate(invalid="ignore", divide="ignore"):
                hits = weight @ (positive * called).T / (weight @ positive)[:, None]
                spared = weight @ ((1 - positive) * (1 - called)).T
                spared = spared / (weight @ (1 - positive))[:, None]
            accuracies.append((hits + spared) / 2)
        return np.stack(accuracies, axis=-1)

    def difference(self, calls: Floats, others: Floats) -> str:
        """Return how far the mean over domains is above that of other calls, and its interval.

        Resamples cases and sets; the operating points stay as they are.
        """
        value = (self.balanced_accuracy(calls) - self.balanced_accuracy(others)).mean()
        parts = [
            (self.balanced_accuracy(calls, w) - self.balanced_accuracy(others, w)).mean(axis=-1)
            for w in draw_cluster_weights(self.case, RESAMPLES, seed=0)
        ]
        resampled = np.concatenate(parts)
        drawn = np.random.default_rng(0).integers(resampled.shape[1], size=resampled.shape)
        return shown_difference(value, np.take_along_axis(resampled, drawn, axis=1).mean(axis=1))


def read_cohort(usage: str) -> Cohort:
    """Read what the command names: FIGURES... RUNS.jsonl [ARM...], or FIGURES... TRAINING..."""
    given = [Path(name) for name in sys.argv[1:]]
    figures = list(takewhile(lambda path: not _is_scores(path), given))
    if not figures or len(figures) == len(given):
        raise SystemExit(usage)
    table, first = open_figures(figures), given[len(figures)]
    if first.is_dir():
        return _of_trainings(table, given[len(figures) :])
    lines = read_runs(first)
    folds, domains = 1 + max(line.fold for line in lines), len(np.unique(domain_names(table.frame)))
    groups = None if folds == domains else folds
    bench = Bench.of(table, first.parent, "cpu", None, groups)
    arms = sys.argv[2 + len(figures) :] or list(ARMS)
    runs: dict[tuple[str, int], dict[int, RunLine]] = {}
    for line in lines:
        if line.arm in arms and line.figures in (bench.figures, bench.earlier_figures):
            runs.setdefault((line.arm, line.seed), {})[line.fold] = line
    whole = {key: of for key, of in runs.items() if len(of) == folds}
    if not whole:
        raise SystemExit(f"{first}: no seed of {', '.join(arms)} is whole on these figures")
    scores = [bench.scores(list(lines.values())) for lines in whole.values()]
    left = np.stack([one.left_out for one in scores])
    held = np.stack([one.held_out for one in scores])
    sets = ", ".join(f"{arm} seed {seed}" for arm, seed in whole)
    print(f"{len(table)} figures, {domains} domains; scores of {sets}\n", flush=True)
    arm = [arm for arm, _ in whole]
    return _cohort(table, bench.left_out, bench.held_out, True, arm, left, held)


def _is_scores(path: Path) -> bool:
    return path.suffix == ".jsonl" or (path / "out_of_fold.csv").is_file()


def _of_trainings(table: FigureTable, runs: Sequence[Path]) -> Cohort:
    """Read trainings that left out domains, on the same folds; an arm is a recipe."""
    held = [pd.read_csv(run / "out_of_fold.csv").set_index("figure_id") for run in runs]
    without = [run / "left_out.csv" for run in runs]
    if all(path.is_file() for path in without):
        left = [pd.read_csv(path).set_index("figure_id") for path in without]
    else:  # folds.scheme=domains
        left, held = held, [one.assign(logit=np.nan) for one in held]
    ids = table.frame["figure_id"]
    folds = held[0].loc[ids, "fold"].to_numpy()
    if any((one.loc[ids, "fold"].to_numpy() != folds).any() for one in held):
        raise SystemExit("the trainings divide the figures into different folds")
    arm = [read_recipe(run / "recipe.toml").name for run in runs]
    print(f"{len(table)} figures; scores of {', '.join(map(str, runs))}\n")
    scores = (np.stack([one.loc[ids, "logit"].to_numpy() for one in some]) for some in (left, held))
    return _cohort(table, left[0].loc[ids, "fold"].to_numpy(), folds, False, arm, *scores)


def _cohort(
    table: FigureTable,
    left_out: Ints,
    held_out: Ints,
    crossed: bool,
    arm: Sequence[str],
    left: Floats,
    held: Floats,
) -> Cohort:
    figures = training_figures(table, Recipe().soft_labels)
    judged, _ = pool_small_domains(figures.truth, domain_names(table.frame))
    names, domain = np.unique(judged.astype(str), return_inverse=True)
    short = short_domain_names([str(name) for name in names])
    return Cohort(
        truth=figures.truth,
        case=figures.case,
        domain=domain,
        left_out=left_out,
        held_out=held_out,
        crossed=crossed,
        votes=vote_matrix(table.frame),
        names=tuple(short[str(name)] for name in names),
        arm=np.array(arm, dtype=object),
        left=left,
        held=held,
    )


def shown_difference(value: float, resampled: Floats) -> str:
    """Return a difference with its 95 % interval, as text."""
    interval = percentile_interval(resampled)
    if interval is None:
        return f"{value:+.3f}"
    low, high = round(interval.low, 3) + 0.0, round(interval.high, 3) + 0.0
    span = f" [{low:+.3f}, {high:+.3f}]"
    return f"{round(value, 3) + 0.0:+.3f}{span}"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |", flush=True)
    print(flush=True)
