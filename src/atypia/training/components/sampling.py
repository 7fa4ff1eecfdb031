"""Sampling: an epoch draws figures with a tempered balance over domains and classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy.special import logit

from atypia.training.section import Section, Share

_PRIOR_FIGURES = 20


class SamplingSection(Section):
    """Balance of an epoch over classes and domains."""

    class_balance: Share = Field(0.5, description="0: as in the data, 1: equal shares")
    domain_balance: Share = Field(0.5, description="0: as in the data, 1: equal shares")
    prior: Share = Field(
        0.0, description="share of the prevalence of its domain that a logit is free of"
    )


def figure_weights(
    domain: npt.NDArray[np.int64],
    atypical: npt.NDArray[np.bool_],
    *,
    class_balance: float,
    domain_balance: float,
) -> npt.NDArray[np.float64]:
    """Return the share of each figure in an epoch.

    A domain's share is raised to the power 1 - `domain_balance`, and within each domain a class's
    share to the power 1 - `class_balance`; both are then normalised. 0 leaves the data as they
    are, 1 makes all equal. Figures of one cell (domain, class) are drawn equally often.

    Args:
        domain: int64 (N,), code of each figure's domain.
        atypical: bool (N,), the class of each figure.
        class_balance: in [0, 1].
        domain_balance: in [0, 1].

    Returns:
        float64 (N,), positive, of sum 1.
    """
    weights = np.zeros(len(domain))
    for code in np.unique(domain):
        here = domain == code
        for kind in (False, True):
            cell = here & (atypical == kind)
            if cell.any():
                of_class = (cell.sum() / here.sum()) ** (1 - class_balance)
                weights[cell] = of_class / cell.sum()
        weights[here] *= here.mean() ** (1 - domain_balance) / weights[here].sum()
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares


def prior_offsets(
    domain: npt.NDArray[np.int64],
    target: npt.NDArray[np.float32],
    shares: npt.NDArray[np.float64],
    strength: float,
) -> npt.NDArray[np.float32]:
    """Return what is added to the logit of each figure in training, so that it need not learn it.

    In a domain with many atypical figures a figure is more likely atypical, whatever it looks like.
    With the log-odds of its domain's prevalence added in the loss, the network's own logit is free
    of it (Menon et al. 2021, eq. 10, with domains in place of classes), and what it has learned of
    figures is not mixed up with what it has learned of laboratories. Small domains are taken to be
    more like all: `_PRIOR_FIGURES` figures of the prevalence of all are added to each.

    Args:
        domain: int64 (N,), code of each figure's domain.
        target: float32 (N,), in [0, 1].
        shares: float64 (N,), of each figure in an epoch; 0 where it is not trained on.
        strength: in [0, 1]; 0 adds nothing.

    Returns:
        float32 (N,), log-odds of the prevalence of the figure's domain less those of all.
    """
    drawn = shares / shares.sum()
    overall = float(drawn @ target)
    extra = _PRIOR_FIGURES / np.count_nonzero(shares)
    sums = np.bincount(domain, drawn)
    prevalence = (np.bincount(domain, drawn * target) + extra * overall) / (sums + extra)
    offsets = logit(np.clip(prevalence, 1e-3, 1 - 1e-3)) - logit(overall)
    of_figures: npt.NDArray[np.float32] = (strength * offsets[domain]).astype(np.float32)
    return of_figures


def mixture_weights(
    counted: npt.NDArray[np.float64],
    atypical: npt.NDArray[np.bool_],
    rows: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Return weights with which each class counts as it does in training.

    Args:
        counted: float64 (N,), weight of each figure in training; 0 where not trained on.
        atypical: bool (N,), the class of each figure.
        rows: int64 (M,), the figures to weigh.

    Returns:
        float64 (M,); equal within a class.
    """
    in_training = np.bincount(atypical, counted, 2)
    counts = np.bincount(atypical[rows], minlength=2)
    weights: npt.NDArray[np.float64] = (in_training / np.maximum(counts, 1))[
        atypical[rows].astype(np.int64)
    ]
    return weights


def cell_shares(
    domain: npt.NDArray[np.int64],
    atypical: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.float64],
    names: list[str],
) -> pd.DataFrame:
    """Return, for each (domain, class), its figures and its expected share of an epoch.

    Returns:
        Columns `domain` (str), `call` (normal or atypical), `figures` (int), `share` (float,
        of sum 1).
    """
    frame = pd.DataFrame(
        {
            "domain": np.asarray(names, dtype=object)[domain],
            "call": np.where(atypical, "atypical", "normal"),
            "share": weights,
        }
    )
    cells = frame.groupby(["domain", "call"], sort=True)["share"].agg(["size", "sum"])
    return cells.rename(columns={"size": "figures", "sum": "share"}).reset_index()


def draw_epoch(
    weights: npt.NDArray[np.float64], size: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw the figures of one epoch, in the order of training.

    Systematic resampling (Kitagawa 1996): figure i is drawn floor or ceil of `size * weights[i]`
    times, so that an epoch has the shares asked for and no figure waits long for its turn.

    Returns:
        int64 (`size`,), positions in `weights`.
    """
    shuffled = rng.permutation(len(weights))
    edges = np.cumsum(weights[shuffled])
    ticks = (np.arange(size) + rng.random()) / size * edges[-1]
    drawn: npt.NDArray[np.int64] = shuffled[
        np.minimum(np.searchsorted(edges, ticks, side="right"), len(weights) - 1)
    ]
    rng.shuffle(drawn)
    return drawn
