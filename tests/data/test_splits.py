from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.readers.opening import open_figures
from atypia.data.splits import domain_folds, slide_folds
from atypia.data.table import from_frame
from atypia.errors import TableError


def _frame(slides: int = 30, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    slide = np.repeat(np.arange(slides), random.integers(1, 40, slides))
    frame = pd.DataFrame(
        {
            "figure_id": [f"f{i}" for i in range(len(slide))],
            "image": "a.png",
            "slide": [f"s{i}" for i in slide],
            "scanner": [f"d{i % 3}" for i in slide],
            "label": (random.random(len(slide)) < 0.25).astype(int),
        }
    )
    return from_frame(frame, Path()).frame


def test_no_case_or_slide_is_divided() -> None:
    frame = _frame()
    frame["case"] = frame["slide"].replace({"s3": "s4"})
    frame.loc[frame["slide"].isin(["s7", "s8"]) & (frame.index % 2 == 0), "case"] = "shared"
    folds = slide_folds(frame, 5, seed=1)
    for group in ("case", "slide"):
        assert (pd.Series(folds).groupby(frame[group]).nunique() == 1).all()
    assert set(folds) == {0, 1, 2, 3, 4} and folds.dtype == np.int64


def test_folds_depend_on_the_seed_and_on_nothing_else() -> None:
    frame = _frame()
    folds = slide_folds(frame, 4, seed=3)
    np.testing.assert_array_equal(folds, slide_folds(frame, 4, seed=3))
    assert (folds != slide_folds(frame, 4, seed=4)).any()
    order = np.random.default_rng(0).permutation(len(frame))
    shuffled = frame.iloc[order].reset_index(drop=True)
    np.testing.assert_array_equal(slide_folds(shuffled, 4, seed=3), folds[order])


def test_folds_are_balanced_by_domain_and_class() -> None:
    frame = _frame(slides=120)
    folds = slide_folds(frame, 5, seed=0)
    by_class = frame["label"].groupby(folds).mean()
    assert by_class.max() - by_class.min() < 0.05
    cells = pd.crosstab([frame["scanner"], frame["label"]], folds)
    assert (cells.max(axis=1) / cells.mean(axis=1)).max() < 1.35
    assert np.bincount(folds).max() / np.bincount(folds).min() < 1.1


def test_each_slide_can_be_its_own_fold() -> None:
    frame = _frame(slides=3)
    assert sorted(set(slide_folds(frame, 3, seed=0))) == [0, 1, 2]


def test_more_folds_than_cases_are_refused_in_words() -> None:
    with pytest.raises(TableError, match="only 3 cases"):
        slide_folds(_frame(slides=3), 4, seed=0)
    with pytest.raises(TableError, match="only 1 case "):
        slide_folds(_frame(slides=1), 2, seed=0)
    with pytest.raises(TableError, match="at least 2"):
        slide_folds(_frame(), 1, seed=0)


def test_unlabelled_figures_are_divided_too() -> None:
    frame = _frame().assign(label=np.nan)
    assert set(slide_folds(frame, 5, seed=0)) == {0, 1, 2, 3, 4}


def test_a_domain_a_fold() -> None:
    frame = _frame()
    folds, names = domain_folds(frame)
    assert names == ["d0", "d1", "d2"] and folds.dtype == np.int64
    assert [names[fold] for fold in folds] == list(frame["scanner"])


def test_leaving_a_domain_out_is_refused_where_it_would_mean_nothing() -> None:
    with pytest.raises(TableError, match="one domain"):
        domain_folds(_frame().assign(scanner="x"))
    with pytest.raises(TableError, match="several domains"):
        domain_folds(_frame().assign(case="everyone"))


def test_the_real_figures_divide_evenly(ami_br: Path) -> None:
    frame = open_figures(ami_br).frame
    folds = slide_folds(frame, 5, seed=0)
    assert (pd.Series(folds).groupby(frame["slide"]).nunique() == 1).all()
    share = frame["label"].groupby(folds).mean()
    assert share.between(0.18, 0.27).all()
    assert pd.Series(folds).value_counts().between(550, 610).all()
    assert len(domain_folds(frame)[1]) == 6
