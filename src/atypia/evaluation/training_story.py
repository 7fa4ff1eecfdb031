"""What a training did, in plain values: for the terminal and the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class FoldProbe:
    """How well a linear probe told domains from one member's embedding, see `probe.py`.

    Attributes:
        fold: its name.
        before: balanced accuracy, in [0, 1], with the network as published.
        after: with the trained one.
        chance: of guessing.
    """

    fold: str
    before: float
    after: float
    chance: float


@dataclass(frozen=True)
class TrainingStory:
    """What a training did beside making the scores; what it did not do is empty.

    Attributes:
        probes: of the folds that have one.
        gammas: of every fold, where gamma is adaptive: float64 (epochs, bins), the gamma of each
            confidence bin after each epoch, least confident first.
        hardness: figure_id -> P(atypical) while it was trained on, averaged over epochs and
            members, in [0, 1]; of normal figures, where hard negatives are on.
    """

    probes: tuple[FoldProbe, ...] = ()
    gammas: tuple[npt.NDArray[np.float64], ...] = ()
    hardness: Mapping[str, float] = field(default_factory=dict)

    @property
    def mean_probe(self) -> FoldProbe | None:
        """The mean over folds; None where no fold has a probe."""
        if not self.probes:
            return None
        values = [(probe.before, probe.after, probe.chance) for probe in self.probes]
        before, after, chance = map(float, np.mean(values, axis=0))
        return FoldProbe("mean over folds", before, after, chance)
