from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from atypia.data import splits
from atypia.data.readers.open_figures import open_figures
from atypia.data.splits import crossed_folds, domain_folds, select_training, slide_folds
from atypia.data.table import FigureTable, figures_from_frame
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
    return figures_from_frame(frame, Path()).frame


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


def _crossed(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, list[str]]:
    left_out, held_out, names = crossed_folds(frame, seed=0)
    assert left_out.dtype == held_out.dtype == np.int64
    return left_out, held_out, names


def test_a_run_of_crossed_folds_trains_on_no_case_that_it_is_judged_by() -> None:
    frame = _frame(slides=60).assign(case=lambda f: f["slide"].replace({"s3": "s6", "s4": "s7"}))
    left_out, held_out, names = _crossed(frame)
    assert names == ["d0", "d1", "d2"]
    assert [names[run] for run in left_out] == list(frame["scanner"])
    for run in range(3):
        judged = (left_out == run) | (held_out == run)
        assert not set(frame["case"][judged]) & set(frame["case"][~judged])
        assert not (frame["scanner"][~judged] == names[run]).any()
        # Its held-out figures are of both other domains, and it trains on the rest of these.
        assert set(frame["scanner"][held_out == run]) == set(names) - {names[run]}
        assert set(frame["scanner"][~judged]) == set(names) - {names[run]}


def test_crossed_folds_score_every_figure_twice_by_two_runs() -> None:
    left_out, held_out, _ = _crossed(_frame(slides=60))
    assert set(left_out) == set(held_out) == {0, 1, 2}
    assert (left_out != held_out).all()


def test_crossed_folds_hold_out_like_shares_of_each_domain_and_class() -> None:
    frame = _frame(slides=150)
    left_out, held_out, _ = _crossed(frame)
    for domain in range(3):
        here = left_out == domain
        sizes = np.bincount(held_out[here], minlength=3)[np.arange(3) != domain]
        assert sizes.max() / sizes.min() < 1.25
        share = frame["label"][here].groupby(held_out[here]).mean()
        assert share.max() - share.min() < 0.06


def test_crossed_folds_do_not_depend_on_the_order_of_the_rows() -> None:
    frame = _frame(slides=60)
    order = np.random.default_rng(0).permutation(len(frame))
    shuffled = frame.iloc[order].reset_index(drop=True)
    for straight, mixed in zip(_crossed(frame)[:2], _crossed(shuffled)[:2], strict=True):
        np.testing.assert_array_equal(mixed, straight[order])


def test_a_domain_of_few_cases_is_held_out_case_by_case_and_of_one_case_not_at_all() -> None:
    frame = _frame(slides=60)
    frame["scanner"] = frame["slide"].map(lambda slide: f"d{int(slide[1:]) % 5}")
    frame.loc[frame["slide"].isin(["s0", "s1"]), "scanner"] = "two cases"
    frame.loc[frame["slide"] == "s2", "scanner"] = "one case"
    left_out, held_out, names = _crossed(frame)
    two = frame["scanner"] == "two cases"
    assert pd.Series(held_out[two]).groupby(frame["slide"][two].to_numpy()).nunique().eq(1).all()
    assert len(set(held_out[two])) == 2 and (held_out[two] >= 0).all()
    assert (held_out[frame["scanner"] == "one case"] == -1).all()
    assert (left_out[frame["scanner"] == "one case"] == names.index("one case")).all()


def test_groups_of_domains_are_left_out_together_and_the_rest_is_held_out_in_small_parts() -> None:
    frame = _frame(slides=140)
    frame["scanner"] = frame["slide"].map(lambda slide: f"d{int(slide[1:]) % 7}")
    left_out, held_out, names = crossed_folds(frame, seed=0, groups=3)
    groups = [set(name.split("; ")) for name in names]
    assert set.union(*groups) == set(frame["scanner"]) and sum(map(len, groups)) == 7
    sizes = np.bincount(left_out)
    assert sizes.max() / sizes.min() < 1.6  # three domains, two and two
    for run, group in enumerate(groups):
        assert set(frame["scanner"][left_out == run]) == group
        assert not group & set(frame["scanner"][held_out == run])
    # A run loses a sixth of the other domains' slides, as it does where each is left out alone.
    share = (held_out >= 0).mean()
    assert 0.28 < share < 0.39
    cases = frame["case"].groupby(held_out).unique()
    assert not set(cases[-1]) & set(cases[0])
    each = crossed_folds(frame, seed=0, groups=7)
    for grouped, alone in zip(each, crossed_folds(frame, seed=0), strict=True):
        np.testing.assert_array_equal(grouped, alone)


def test_crossed_folds_are_refused_where_they_would_mean_nothing() -> None:
    frame = _frame()
    with pytest.raises(TableError, match=r"2 domains .* needs three"):
        crossed_folds(frame[frame["scanner"] != "d0"].reset_index(drop=True), seed=0)
    with pytest.raises(TableError, match="several domains"):
        crossed_folds(frame.assign(case="everyone"), seed=0)
    with pytest.raises(TableError, match="one case only"):
        crossed_folds(_frame(slides=3), seed=0)
    with pytest.raises(TableError, match="domain_groups 4: expected 3 to 3"):
        crossed_folds(frame, seed=0, groups=4)


def _split(*words: object) -> FigureTable:
    frame = pd.DataFrame({"figure_id": [f"f{n}" for n in range(len(words))], "image": "a.png"})
    return figures_from_frame(frame.assign(split=list(words)), Path("crops"))


def test_only_the_training_split_is_trained_on_and_a_note_counts_the_others() -> None:
    words = ["train", "Training ", "TEST", "val", "Held_Out", "held out", "validation", None]
    table, notes = select_training(_split(*words))
    assert list(table.frame["figure_id"]) == ["f0", "f1"]
    assert list(table.frame.index) == [0, 1]
    assert table.notes == notes and len(notes) == 1
    assert notes[0].startswith("6 figures left out")
    for part in ("2 of split held-out", "1 of split test", "1 of split val,", "1 of no split"):
        assert part in notes[0]
    assert select_training(table) == (table, ())


def test_a_table_without_a_split_is_trained_on_as_a_whole() -> None:
    for table in (
        _split(None, ""),
        figures_from_frame(_split("train").frame.drop(columns="split"), Path()),
    ):
        assert select_training(table)[0] is table


def test_a_split_that_is_not_understood_or_leaves_nothing_is_refused() -> None:
    with pytest.raises(TableError, match=r"column split: '3', 'a'; expected train .*rename"):
        select_training(_split("train", "a", 3))
    with pytest.raises(TableError, match="no figure to train on"):
        select_training(_split("test", ""))


def test_groups_are_the_connected_components_of_cases_and_slides() -> None:
    rng = np.random.default_rng(0)
    for figures, count in ((60, 40), (300, 150), (1, 1)):
        case = rng.integers(0, count, figures)
        slide = rng.integers(0, count, figures)
        names = {"case": [f"c{one}" for one in case], "slide": [f"s{one}" for one in slide]}
        frame = pd.DataFrame(names)
        found = splits._groups(frame)
        shape = (2 * count, 2 * count)
        links = coo_array((np.ones(figures), (case, count + slide)), shape=shape)
        component = connected_components(links, directed=False)[1][case]
        first = frame["case"].groupby(component).transform("min")
        assert list(found) == list(first)
