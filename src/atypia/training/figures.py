"""What training knows of the figures: targets, classes, domains, phases, groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.columns import COLUMNS, vote_names
from atypia.data.domains import domain_names
from atypia.data.table import FigureTable
from atypia.data.votes import dawid_skene, hard_labels, soft_labels, vote_fractions, vote_matrix
from atypia.data.windows import Windows
from atypia.errors import TableError
from atypia.training.recipe import SoftLabelsSection

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TrainingFigures:
    """N figures as training sees them.

    Attributes:
        figure_id: str (N,).
        target: float32 (N,), the soft label in [0, 1].
        truth: float64 (N,), the hard label, NaN where the votes are split evenly.
        unanimous: bool (N,), no two votes differ (also where there are none, only a label).
        votes: float64 (N, experts), 1, 0 or NaN.
        domain: int64 (N,), position in `domains`.
        domains: names of the domains, sorted.
        case: str (N,), the group that folds never divide.
        slide: int64 (N,), a number for each slide.
        phase: float32 (N, phases), the share of the experts' phase labels; rows of 0 without any.
        phases: names of the phases, sorted; empty where the table names none.
    """

    figure_id: npt.NDArray[np.object_]
    target: npt.NDArray[np.float32]
    truth: npt.NDArray[np.float64]
    unanimous: npt.NDArray[np.bool_]
    votes: npt.NDArray[np.float64]
    domain: Ints
    domains: list[str]
    case: npt.NDArray[np.object_]
    slide: Ints
    phase: npt.NDArray[np.float32]
    phases: list[str]

    @property
    def atypical(self) -> npt.NDArray[np.bool_]:
        """Bool (N,): the class that balancing counts a figure to."""
        return self.target > 0.5

    @property
    def cell(self) -> Ints:
        """Int64 (N,): a number for each (domain, class)."""
        return 2 * self.domain + self.atypical


@dataclass(frozen=True)
class UnlabelledFigures:
    """Figures of a laboratory to adapt to: no target, only where they come from.

    Attributes:
        windows: of M figures.
        domain: int64 (M,), position in the `domains` of the training figures.
    """

    windows: Windows
    domain: Ints


def training_figures(
    table: FigureTable, labels: SoftLabelsSection, further_domains: Sequence[str] = ()
) -> TrainingFigures:
    """Read targets and groups off a table.

    Args:
        table: the labelled figures.
        labels: how votes become targets.
        further_domains: names of domains that unlabelled figures come from.

    Raises:
        TableError: figures without any label, one class only, or one case only.
    """
    target = soft_labels(table.frame, labels.method)
    missing = np.flatnonzero(np.isnan(target))
    if len(missing):
        first = table.frame["figure_id"].iloc[missing[0]]
        raise TableError(
            f"{len(missing)} figures have neither a label nor a vote, the first is {first}; "
            "label them or take their rows out"
        )
    truth = hard_labels(table.frame)
    counts = {"atypical": int(np.sum(truth == 1)), "normal": int(np.sum(truth == 0))}
    for name, count in counts.items():
        if not count:
            raise TableError(
                f"the table holds no {name} figure (of {len(truth)}); "
                "training needs both classes, check the column label or the votes"
            )
    case = table.frame["case"].to_numpy(dtype=object)
    if len(np.unique(case)) < 2:
        raise TableError(
            f"all {len(case)} figures come from one case ({case[0]}); held-out scores need at "
            "least two, check the columns slide and case"
        )
    named = domain_names(table.frame)
    domains = sorted({*map(str, named), *further_domains})
    phase, phases = _phases(table.frame)
    fraction = vote_fractions(table.frame)
    slide = table.frame["slide"].to_numpy(dtype=object)
    return TrainingFigures(
        figure_id=table.frame["figure_id"].to_numpy(dtype=object),
        target=_smoothed(target, labels),
        truth=truth,
        unanimous=~((fraction > 0) & (fraction < 1)),
        votes=vote_matrix(table.frame),
        domain=np.searchsorted(domains, named.astype(str)).astype(np.int64),
        domains=domains,
        case=case,
        slide=np.unique(np.where(slide == "", case, slide).astype(str), return_inverse=True)[1],
        phase=phase,
        phases=phases,
    )


def deciding_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a figure table that decide a training, images' content aside."""
    return [*COLUMNS, *vote_names(frame.columns), "phase_1", "phase_2", "split"]


def fitted(figures: TrainingFigures, rows: Ints, labels: SoftLabelsSection) -> TrainingFigures:
    """Return the figures with targets in which only some of them have a say.

    With "dawid-skene" the experts' skill is estimated on `rows` alone, so that a held-out figure
    decides nothing; the targets of the others are left as they are. Other methods look at one
    figure at a time, and change nothing here.

    Args:
        figures: all of them.
        rows: int64 (R,), those that are trained on.
        labels: how votes become targets.
    """
    if labels.method != "dawid-skene":
        return figures
    p = dawid_skene(figures.votes[rows]).p
    target = figures.target.copy()
    target[rows[~np.isnan(p)]] = _smoothed(p[~np.isnan(p)], labels)
    return replace(figures, target=target)


def _smoothed(
    target: npt.NDArray[np.float64], labels: SoftLabelsSection
) -> npt.NDArray[np.float32]:
    return (target * (1 - 2 * labels.smoothing) + labels.smoothing).astype(np.float32)


def _phases(frame: pd.DataFrame) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Return the share of each phase among the labels given, and the phases' names."""
    columns = [name for name in ("phase_1", "phase_2") if name in frame] or ["phase"]
    given = [frame[name].fillna("").to_numpy(dtype=object) for name in columns]
    phases = sorted({str(name) for column in given for name in column} - {""})
    if not phases:
        return np.zeros((len(frame), 0), dtype=np.float32), []
    counts = sum(
        (column[:, None] == np.array(phases, dtype=object)).astype(int) for column in given
    )
    total = np.asarray(counts).sum(axis=1, keepdims=True)
    return (counts / np.maximum(total, 1)).astype(np.float32), phases
