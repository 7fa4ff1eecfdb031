"""Folds: whole cases, never divided; balanced by domain and class, or one domain left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.columns import as_text
from atypia.data.domains import domain_names
from atypia.data.table import FigureTable
from atypia.data.table_checks import format_count
from atypia.data.votes import hard_labels
from atypia.errors import TableError

_OVERALL = 4.0
_STARTS = 16

Folds = npt.NDArray[np.int64]

#: Values of a column `split` for figures to train on and for others to evaluate on; in lower case,
#: blanks and underscores as hyphens.
TRAINED_ON = ("train", "training")
HELD_OUT = (
    *("held-out", "heldout", "hold-out", "holdout"),
    *("test", "testing", "val", "valid", "validation", "dev", "tune", "tuning", "external"),
)


def split_words(frame: pd.DataFrame) -> pd.Series:
    """Return the value of the column `split` of each figure, normalised; "" where absent."""
    if "split" not in frame.columns:
        return pd.Series("", index=frame.index, dtype=object)
    return as_text(frame["split"]).str.lower().str.replace(r"[\s_-]+", "-", regex=True)


def unknown_splits(frame: pd.DataFrame) -> list[str]:
    """Return the values of the column `split` that mean neither training nor held out."""
    return sorted({*split_words(frame)} - {*TRAINED_ON, *HELD_OUT, ""})


def select_training(table: FigureTable) -> tuple[FigureTable, tuple[str, ...]]:
    """Return the figures to train on: all of them, or those of the split "train".

    Where the column `split` has any value, figures that are not marked for training are for
    evaluation, and a figure without a value may be one of them.

    Args:
        table: the figures.

    Returns:
        The table of these figures, with a note on how many others there are; and that note alone.

    Raises:
        TableError: an unknown value of `split`, or no figure to train on.
    """
    words = split_words(table.frame)
    unknown = unknown_splits(table.frame)
    if unknown:
        named = ", ".join(map(repr, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
        raise TableError(
            f"{table.where}: column split: {named}; expected {TRAINED_ON[0]} for figures to train "
            f"on, {', '.join(HELD_OUT)} for others; if it means something else, rename the column"
        )
    others = words[~words.isin(TRAINED_ON)]
    if not (words != "").any() or others.empty:
        return table, ()
    parts = ", ".join(
        f"{count:,} of {f'split {word}' if word else 'no split'}"
        for word, count in others.value_counts().items()
    )
    if len(others) == len(words):
        raise TableError(
            f"{table.where}: no figure to train on: no row of the column split says train "
            f"({parts}); write train there, or remove the column"
        )
    note = (
        f"{format_count(len(others), 'figure')} left out of training and evaluation by the "
        f"column split ({parts})"
    )
    frame = table.frame[words.isin(TRAINED_ON)].reset_index(drop=True)
    return replace(table, frame=frame, notes=(*table.notes, note)), (note,)


def slide_folds(frame: pd.DataFrame, count: int, seed: int) -> Folds:
    """Divide figures into folds, all figures of a case, or of a slide, in one.

    Folds are stratified by domain and class together (unlabelled figures are a class of their
    own), by class over all domains, and by size, as well as whole cases allow: from each of
    several random divisions, cases move to where they disturb the balance least until no move
    improves it, and the best of these divisions is used. (scikit-learn's
    StratifiedGroupKFold places the most uneven cases first, in an order that the seed hardly
    touches, and never revises a placement: on AMi-Br all its seeds give one division, whose folds
    hold 16 to 29 % atypical figures where 22 % are atypical; these hold 19 to 25 %.)

    Args:
        frame: a figure table's frame.
        count: number of folds, at least 2 and at most the number of cases.
        seed: of the first division; the same figures, count and seed give the same folds, in
            any order of the rows.

    Returns:
        The fold of every figure, shape (N,), int64 in 0..count-1; no fold is empty.

    Raises:
        TableError: fewer than 2 folds, or more folds than cases.
    """
    names = _groups(frame)
    groups, members = np.unique(names, return_inverse=True)
    if count < 2:
        raise TableError(f"{count} folds: expected at least 2")
    if len(groups) < count:
        raise TableError(
            f"{count} folds: the table has only {len(groups)} "
            f"case{'s' if len(groups) > 1 else ''} (all figures of a slide or case stay "
            f"together); ask for at most {len(groups)} folds, or add slides"
        )
    folds = _balance(_group_counts(frame, members, len(groups)), count, seed)
    return folds[members]


def _group_counts(
    frame: pd.DataFrame, members: npt.NDArray[np.int64], groups: int
) -> npt.NDArray[np.float64]:
    """Count the figures of each stratum in every group, shape (groups, strata).

    Strata overlap: (domain, class), then class, then all. Each column is divided by the root of
    its sum, so that squared deviations weigh as in a chi-square statistic; class and size over
    all domains weigh more, for an operating point is fitted over all of them.
    """
    classes = pd.Series(hard_labels(frame)).map({0.0: "normal", 1.0: "atypical"}).fillna("")
    cells = pd.Series(domain_names(frame)) + "\n" + classes
    columns = []
    everything = pd.Series("", index=classes.index)
    for strata, weight in ((cells, 1.0), (classes, _OVERALL), (everything, _OVERALL)):
        codes, levels = pd.factorize(strata, sort=True)
        counts = np.zeros((groups, len(levels)))
        np.add.at(counts, (members, codes), 1.0)
        columns.append(counts * np.sqrt(weight / counts.sum(axis=0)))
    return np.concatenate(columns, axis=1)


def _balance(counts: npt.NDArray[np.float64], folds: int, seed: int) -> Folds:
    """Return a fold for every group, shape (groups,): the best of several divisions."""
    random = np.random.default_rng(seed)
    best, best_cost = np.zeros(len(counts), dtype=np.int64), np.inf
    for _ in range(_STARTS):
        fold_of, totals = _settle(counts, folds, random.permutation(len(counts)))
        cost = float(np.square(totals).sum())
        if cost < best_cost - 1e-9:
            best, best_cost = fold_of, cost
    return best


def _settle(
    counts: npt.NDArray[np.float64], folds: int, order: npt.NDArray[np.int64]
) -> tuple[Folds, npt.NDArray[np.float64]]:
    """Deal groups out in `order` and improve; return the fold of each group and the totals."""
    fold_of = np.empty(len(counts), dtype=np.int64)
    fold_of[order] = np.arange(len(counts)) % folds
    totals = np.zeros((folds, counts.shape[1]))
    np.add.at(totals, fold_of, counts)
    moved = True
    while moved:
        moved = False
        for group in order:
            own = fold_of[group]
            totals[own] -= counts[group]
            # The sum of squares over folds grows by 2 * total . counts where the group joins.
            growth = totals @ counts[group]
            best = int(np.argmin(growth))
            if growth[own] - growth[best] > 1e-9:
                fold_of[group], moved = best, True
            totals[fold_of[group]] += counts[group]
    return fold_of, totals


def domain_folds(frame: pd.DataFrame) -> tuple[Folds, list[str]]:
    """Divide figures into one fold a domain, for leaving one domain out.

    Returns:
        The fold of every figure, shape (N,), int64; and the domains' names in sorted order: fold
        k holds the figures of domain names[k].

    Raises:
        TableError: fewer than two domains; or a case that lies in several domains, which would
            be on both sides when one of them is left out.
    """
    domains = domain_names(frame)
    names, folds = np.unique(domains.astype(str), return_inverse=True)
    if len(names) < 2:
        raise TableError(
            f"the table has one domain ({names[0] if len(names) else 'none'}): none can be left "
            "out; fill tumour, scanner, laboratory or species, or use folds grouped by slide"
        )
    divided = pd.Series(domains).groupby(frame["case"].to_numpy()).nunique()
    divided = divided[divided > 1]
    if len(divided):
        raise TableError(
            f"{len(divided)} cases lie in several domains (the first is {divided.index[0]}): "
            "leaving one domain out would leak; keep one domain of each case"
        )
    return folds.astype(np.int64), [str(name) for name in names]


def crossed_folds(
    frame: pd.DataFrame, seed: int, groups: int | None = None
) -> tuple[Folds, Folds, list[str]]:
    """Divide figures for runs that leave out domains and hold out slides of the others.

    Run k of D, one a domain, is not trained on domain k, nor on a part of the cases of each other
    domain: the cases of a domain are divided, as `slide_folds` divides them, into D - 1 parts, one
    for each run that does not leave the whole domain out. So every figure is scored twice: by the
    run that knows nothing of its domain, and by one that knows other slides of it.

    With `groups`, each run leaves all domains of a group out (`group_domains`). The parts of the
    others stay as small; so some of them are held out by no run.

    A domain with fewer cases than parts has one case a part; the further runs then train on all of
    it. A domain of one case cannot be known by other slides of its own: it is left out by its run
    and held out by none.

    Args:
        frame: a figure table's frame, of at least three domains.
        seed: of the division within domains.
        groups: of domains, 3 to D; None: each domain alone.

    Returns:
        left_out, int64 (N,): the run that leaves the figure's domain out. held_out, int64 (N,):
        the run that holds the figure's case out, another one; -1 where there is none. And what
        each run leaves out: the domains' names in sorted order, or those of each group, joined by
        "; ".

    Raises:
        TableError: fewer than three domains; a case that lies in several; no domain of two cases;
            more groups than domains.
    """
    domain_of, domains = domain_folds(frame)
    if len(domains) < 3:
        raise TableError(
            f"the table has {len(domains)} domains ({'; '.join(domains)}): leaving one domain out "
            "needs three, so that what is trained on the rest knows more than one; add figures "
            "of other domains"
        )
    groups = len(domains) if groups is None else groups
    group_of = group_domains(np.bincount(domain_of), groups)
    held_out = np.full(len(frame), -1, dtype=np.int64)
    for domain in range(len(domains)):
        rows = np.flatnonzero(domain_of == domain)
        inside = frame.iloc[rows]
        parts = min(len(domains) - 1, len(np.unique(_groups(inside))))
        if parts > 1:
            part = slide_folds(inside, parts, seed)
            run = (group_of[domain] + 1 + part) % groups
            held_out[rows] = np.where(part < groups - 1, run, -1)
    if (held_out < 0).all():
        raise TableError(
            f"each of the {len(domains)} domains has one case only: none can be held out within "
            "its domain; check the columns slide and case, or add cases"
        )
    names = [
        "; ".join(name for name, own in zip(domains, group_of, strict=True) if own == group)
        for group in range(groups)
    ]
    return group_of[domain_of], held_out, names


def group_domains(figures: npt.NDArray[np.int64], groups: int) -> Folds:
    """Divide domains into groups of about as many figures.

    The largest domains come first, each into the group that is smallest by then.

    Args:
        figures: int64 (D,), of each domain.
        groups: their number, 3 to D; with D, group k is domain k.

    Returns:
        The group of each domain, int64 (D,), in 0..groups-1; no group is empty.

    Raises:
        TableError: fewer than three groups, or more than domains.
    """
    if not 3 <= groups <= len(figures):
        raise TableError(
            f"domain_groups {groups}: expected 3 to {len(figures)}, the number of domains"
        )
    if groups == len(figures):
        return np.arange(groups)
    group_of = np.empty(len(figures), dtype=np.int64)
    totals = np.zeros(groups, dtype=np.int64)
    for domain in np.argsort(-figures, kind="stable"):
        group_of[domain] = totals.argmin()
        totals[group_of[domain]] += figures[domain]
    return group_of


def _groups(frame: pd.DataFrame) -> npt.NDArray[Any]:
    """Return a group name for every figure, shape (N,): what shares a case or slide shares it."""
    cases, case_names = pd.factorize(frame["case"], sort=True)
    slides, slide_names = pd.factorize(frame["slide"], sort=True)
    group = list(range(len(case_names)))  # of each case, an earlier case of its group, or itself

    def find(case: int) -> int:
        while group[case] != case:
            group[case] = case = group[group[case]]
        return case

    first_case = [-1] * len(slide_names)
    for case, slide in zip(cases.tolist(), slides.tolist(), strict=True):
        if first_case[slide] < 0:
            first_case[slide] = case
        one, other = sorted((find(case), find(first_case[slide])))
        group[other] = one
    # Names are sorted, so the first case of a group has the first name.
    first = np.array([find(case) for case in range(len(case_names))], dtype=np.int64)
    return np.asarray(case_names, dtype=object)[first[cases]]
