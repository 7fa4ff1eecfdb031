"""What training knows of the figures: targets, classes, domains, groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atypia.data.domains import domain_names
from atypia.data.table import FigureTable
from atypia.data.votes import hard_labels, soft_labels
from atypia.errors import TableError
from atypia.training.recipe import SoftLabelsSection


@dataclass(frozen=True)
class TrainingFigures:
    """N figures as training sees them.

    Attributes:
        figure_id: str (N,).
        target: float32 (N,), the soft label in [0, 1].
        truth: float64 (N,), the hard label, NaN where the votes are split evenly.
        domain: int64 (N,), position in `domains`.
        domains: names of the domains, sorted.
        case: str (N,), the group that folds never divide.
    """

    figure_id: npt.NDArray[np.object_]
    target: npt.NDArray[np.float32]
    truth: npt.NDArray[np.float64]
    domain: npt.NDArray[np.int64]
    domains: list[str]
    case: npt.NDArray[np.object_]

    @property
    def atypical(self) -> npt.NDArray[np.bool_]:
        """Bool (N,): the class that balancing counts a figure to."""
        return self.target > 0.5


def training_figures(table: FigureTable, labels: SoftLabelsSection) -> TrainingFigures:
    """Read targets and groups off a table.

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
    domains, codes = np.unique(domain_names(table.frame), return_inverse=True)
    smoothed = target * (1 - 2 * labels.smoothing) + labels.smoothing
    return TrainingFigures(
        figure_id=table.frame["figure_id"].to_numpy(dtype=object),
        target=smoothed.astype(np.float32),
        truth=truth,
        domain=codes.astype(np.int64),
        domains=[str(name) for name in domains],
        case=case,
    )
