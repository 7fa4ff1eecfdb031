from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.images import read_image
from atypia.data.phantom import make_phantom
from atypia.data.phantom.cohort import describe_cohort, plan_cohort, render_cohort
from atypia.data.phantom.domains import DOMAIN_LOOKS
from atypia.data.phantom.experts import Expert
from atypia.data.phantom.figure import (
    ATYPICAL_KINDS,
    NORMAL_PHASES,
)
from atypia.data.table import read_table
from atypia.data.votes import hard_labels
from atypia.errors import AtypiaError


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    whole = hashlib.sha256()
    for path in files:
        whole.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return whole.hexdigest()


def test_a_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        make_phantom(tmp_path / name, figures=12, domains=2, slides_per_domain=2, seed=seed)
        digests.append(digest(tmp_path / name))
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]
    make_phantom(tmp_path / "c", figures=15, domains=2, slides_per_domain=2, seed=6)
    make_phantom(tmp_path / "c", figures=12, domains=2, slides_per_domain=2, seed=5)
    assert digest(tmp_path / "c") == digests[0], "an earlier phantom is replaced, whole"


def test_the_table_and_every_image_can_be_read(cohort: Path) -> None:
    table = read_table(cohort / "figures.csv")
    assert len(table) == 90
    frame = table.frame
    assert frame["slide"].nunique() == 12
    assert frame["case"].nunique() == 9, "the first two slides of a domain are of one case"
    assert (frame.groupby("slide")["case"].nunique() == 1).all()
    assert frame["label"].isna().all()
    assert set(frame["mpp"]) == {look.mpp for look in DOMAIN_LOOKS[:3]}
    known = {*NORMAL_PHASES, *ATYPICAL_KINDS}
    assert set(frame["phase_1"]) <= known
    assert set(frame["phase_2"]) <= known
    for path in table.image_paths():
        assert read_image(path).shape == (128, 128, 3)


def test_an_experts_phase_is_of_the_class_voted(cohort: Path) -> None:
    frame = read_table(cohort / "figures.csv").frame
    for number in (1, 2):
        named_atypical = frame[f"phase_{number}"].str.startswith("AMF")
        assert (named_atypical == (frame[f"vote_{number}"] == 1)).all()


def test_the_truth_is_kept(cohort: Path, truth: pd.DataFrame) -> None:
    frame = read_table(cohort / "figures.csv").frame
    assert list(truth["figure_id"]) == list(frame["figure_id"])
    assert truth["true_label"].sum() == 27, "30 % of 30 figures in each of three domains"
    assert ((truth["severity"] > 0.5) == (truth["true_label"] == 1)).all()
    assert (truth["true_phase"].str.startswith("AMF") == (truth["true_label"] == 1)).all()
    np.testing.assert_allclose(truth["ambiguity"], 1 - (2 * truth["severity"] - 1).abs(), atol=1e-5)
    assert (hard_labels(frame) == truth["true_label"]).mean() > 0.85


def test_planted_reliability_is_found_again() -> None:
    experts = (Expert(0.7, 0.98), Expert(0.95, 0.8))
    plans = plan_cohort(6000, 3, 8, 0.5, seed=1)
    frame, truth = describe_cohort(plans, DOMAIN_LOOKS[:3], experts, seed=1)
    plain = truth["ambiguity"] < 0.2
    for number, expert in enumerate(experts, start=1):
        votes = frame.loc[plain, f"vote_{number}"]
        atypical = truth.loc[plain, "true_label"] == 1
        assert votes[atypical].mean() == pytest.approx(expert.sensitivity, abs=0.03)
        assert 1 - votes[~atypical].mean() == pytest.approx(expert.specificity, abs=0.03)
        assert (truth[f"sensitivity_{number}"] == expert.sensitivity).all()


def test_a_figure_does_not_depend_on_its_neighbours() -> None:
    plans = plan_cohort(8, 2, 2, 0.3, seed=0)
    looks = DOMAIN_LOOKS[:2]
    whole = list(render_cohort(plans, looks, 64, seed=0))
    alone = list(render_cohort(plans[5:6], looks, 64, seed=0))
    assert np.array_equal(whole[5], alone[0])


def test_every_domain_renders_at_every_size() -> None:
    plans = plan_cohort(6, 6, 1, 0.3, seed=0)
    for size in (48, 200):
        for crop in render_cohort(plans, DOMAIN_LOOKS, size, seed=0):
            assert crop.shape == (size, size, 3)
            assert crop.std() > 10


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("figures", 0),
        ("domains", 0),
        ("domains", 7),
        ("slides_per_domain", 0),
        ("atypical_share", 1.5),
        ("atypical_share", float("nan")),
        ("size_px", 8),
        ("seed", -1),
    ],
)
def test_an_argument_out_of_range_is_named(argument: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(AtypiaError, match=f"^{argument}: {value}, expected"):
        make_phantom(tmp_path / "out", **{argument: value})
    assert not (tmp_path / "out").exists()


def test_a_table_that_is_no_phantom_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "figures.csv").write_text("mine")
    with pytest.raises(AtypiaError, match=r"figures\.csv: was not written by atypia"):
        make_phantom(tmp_path, figures=3)
    assert (tmp_path / "figures.csv").read_text() == "mine"
    with pytest.raises(AtypiaError, match="is a file"):
        make_phantom(tmp_path / "figures.csv", figures=3)
