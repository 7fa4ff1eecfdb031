"""What a training did, in plain values: for the terminal and the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field

import numpy as np
import numpy.typing as npt

from atypia.evaluation.probe import DomainProbe


@dataclass(frozen=True)
class TrainingStory:
    """What a training recorded besides the scores; empty where it recorded nothing.

    Attributes:
        probes: name of a fold -> how well a linear probe predicts domains; folds with one.
        gammas: of every fold, where gamma is adaptive: float64 (epochs, bins), the gamma of each
            confidence bin after each epoch, least confident first.
        hardness: figure_id -> P(atypical) while it was trained on, averaged over epochs and
            members, in [0, 1]; of normal figures, where hard negatives are on.
        unknown_gammas: names of folds whose gammas an earlier version of atypia did not keep.
    """

    probes: Mapping[str, DomainProbe] = field(default_factory=dict)
    gammas: tuple[npt.NDArray[np.float64], ...] = ()
    hardness: Mapping[str, float] = field(default_factory=dict)
    unknown_gammas: tuple[str, ...] = ()

    @property
    def mean_probe(self) -> DomainProbe | None:
        """The mean over folds; None where no fold has a probe."""
        if not self.probes:
            return None
        values = np.array([astuple(probe) for probe in self.probes.values()])
        before, after, chance = values.mean(axis=0).tolist()
        return DomainProbe(before, after, chance)
