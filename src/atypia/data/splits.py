"""Folds: whole cases, never divided; balanced by domain and class, or one domain left out."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from atypia.data.domains import domain_names
from atypia.data.votes import hard_labels
from atypia.errors import TableError

Folds = npt.NDArray[np.int64]


def slide_folds(frame: pd.DataFrame, count: int, seed: int) -> Folds:
    """Divide figures into folds, all figures of a case, or of a slide, in one.

    Folds are stratified by domain and class together (unlabelled figures are a class of their
    own), as well as whole cases allow (scikit-learn's StratifiedGroupKFold).

    Args:
        frame: a figure table's frame.
        count: number of folds, at least 2 and at most the number of cases.
        seed: of the shuffling; the same frame, count and seed give the same folds.

    Returns:
        The fold of every figure, shape (N,), int64 in 0..count-1; no fold is empty.

    Raises:
        TableError: fewer than 2 folds, or more folds than cases.
    """
    groups = _groups(frame)
    cases = len(np.unique(groups))
    if count < 2:
        raise TableError(f"{count} folds: expected at least 2")
    if cases < count:
        raise TableError(
            f"{count} folds: the table has only {cases} case{'s' if cases > 1 else ''} (all "
            f"figures of a slide or case stay together); ask for at most {cases} folds, or add "
            "slides"
        )
    labels = hard_labels(frame)
    strata = pd.Series(domain_names(frame)) + pd.Series(labels).map({0.0: " 0", 1.0: " 1"}).fillna(
        ""
    )
    codes = pd.factorize(strata)[0]
    folds = np.full(len(frame), -1, dtype=np.int64)
    splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class of one domain with fewer figures than folds cannot be in every fold: expected.
        warnings.filterwarnings("ignore", message="The least populated class")
        for fold, (_, held_out) in enumerate(splitter.split(codes, codes, groups)):
            folds[held_out] = fold
    return folds


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


def _groups(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return a group for every figure, shape (N,): what shares a case or a slide shares a group."""
    cases, case_names = pd.factorize(frame["case"])
    slides, slide_names = pd.factorize(frame["slide"])
    size = len(case_names) + len(slide_names)
    links = coo_array((np.ones(len(frame)), (cases, len(case_names) + slides)), shape=(size, size))
    group = connected_components(links, directed=False)[1]
    return np.asarray(group[cases], dtype=np.int64)
