"""The phantom: what is planted in it can be found again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.images import read_image
from atypia.data.phantom import make_phantom
from atypia.data.phantom.cohort import describe_cohort, plan_cohort, render_cohort, render_figure
from atypia.data.phantom.domains import DOMAIN_LOOKS
from atypia.data.phantom.experts import EXPERTS, Expert, draw_votes
from atypia.data.phantom.figure import (
    ATYPICAL_KINDS,
    BUILDERS,
    NORMAL_PHASES,
    OTHER,
    PROMETAPHASE,
    build_figure,
)
from atypia.data.phantom.scanner import scan
from atypia.data.phantom.stain import Stains, transmit_light
from atypia.data.phantom.texture import draw_textures
from atypia.data.table import read_table
from atypia.data.votes import hard_labels
from atypia.errors import AtypiaError


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    make_phantom(folder, figures=90, domains=3, slides_per_domain=4, seed=3)
    return folder


@pytest.fixture(scope="module")
def truth(cohort: Path) -> pd.DataFrame:
    return pd.read_csv(cohort / "truth.csv")


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    whole = hashlib.sha256()
    for path in files:
        whole.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return whole.hexdigest()


STAINS = Stains((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))


@pytest.mark.parametrize("amounts", [(1.3, 0.0), (0.0, 0.8)])
def test_a_pure_stain_gives_its_densities_back(amounts: tuple[float, float]) -> None:
    h, e = (np.full((4, 5), amount, np.float32) for amount in amounts)
    density = -np.log(transmit_light(h, e, STAINS))
    vector = np.array(STAINS.haematoxylin if amounts[0] else STAINS.eosin)
    expected = max(amounts) * vector / np.linalg.norm(vector)
    assert density.shape == (4, 5, 3)
    np.testing.assert_allclose(density, np.broadcast_to(expected, density.shape), rtol=1e-4)


def test_densities_of_two_stains_add_up() -> None:
    rng = np.random.default_rng(0)
    h, e = rng.uniform(0, 2, (2, 6, 6)).astype(np.float32)
    none = np.zeros_like(h)
    both = transmit_light(h, e, STAINS)
    np.testing.assert_allclose(
        both, transmit_light(h, none, STAINS) * transmit_light(none, e, STAINS), rtol=1e-5
    )
    assert np.array_equal(transmit_light(none, none, STAINS), np.ones((6, 6, 3), np.float32))


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


def test_experts_disagree_more_where_a_figure_is_more_ambiguous() -> None:
    severity = np.repeat([0.02, 0.3, 0.5, 0.7, 0.98], 2000)
    votes = draw_votes(np.random.default_rng(0), severity, EXPERTS)
    split = (votes.min(axis=1) != votes.max(axis=1)).reshape(5, -1).mean(axis=1)
    assert split[0] + 0.02 < split[1] < split[2] - 0.3
    assert split[4] < split[3] < split[2] - 0.3
    assert split[2] > 0.6, "at the border three experts split in three of four cases"


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


def test_domains_differ_in_stain_more_than_slides_do(cohort: Path, truth: pd.DataFrame) -> None:
    frame = read_table(cohort / "figures.csv").frame
    crops = np.stack([read_image(cohort / image) for image in frame["image"]]).astype(float)
    density = -np.log((crops + 1) / 256).mean(axis=(1, 2))
    hue = pd.DataFrame(density / np.linalg.norm(density, axis=1, keepdims=True))
    domains = hue.groupby(truth["domain"]).mean()
    slides = hue.groupby(frame["slide"]).mean()
    within = slides.groupby(slides.index.str[:2]).std().to_numpy().max()
    between = np.linalg.norm(domains.to_numpy()[:, None] - domains.to_numpy()[None], axis=-1)
    assert between[np.triu_indices(3, 1)].min() > 0.05
    assert between.mean() > 2 * within


def test_a_scanner_keeps_the_picture_and_blurs_what_is_out_of_focus() -> None:
    look = replace(DOMAIN_LOOKS[0], noise=0.0, sharpening=0.0, jpeg_quality=95)
    light = np.ones((64, 64, 3), np.float32)
    light[20:24, 4:40] = 0.2
    sharp, soft = (
        scan(np.random.default_rng(0), light, look, defocus_um=defocus).astype(float)
        for defocus in (0.0, 1.0)
    )
    assert np.abs(sharp[40:] - look.white).max() < 4, "an empty slide is the white point"
    assert np.corrcoef(sharp[..., 1].ravel(), light[..., 1].ravel())[0, 1] > 0.95
    assert np.ptp(soft) < 0.7 * np.ptp(sharp)


@pytest.mark.parametrize(("phase", "kind"), BUILDERS)
def test_severity_changes_the_figure_and_nothing_else(phase: str, kind: str) -> None:
    """The chromatin differs between severities, so the class can be seen; the frame does not."""
    look = DOMAIN_LOOKS[0]
    bank = draw_textures(np.random.default_rng(0), look.mpp, 128)
    plan = replace(plan_cohort(3, 1, 1, 0.3, seed=0)[0], phase=phase, kind=kind)
    plain, severe = (
        render_figure(replace(plan, severity=severity), look, bank, 128).astype(int)
        for severity in (0.0, 1.0)
    )
    dark = plain[44:84, 44:84].mean(axis=2) < 80
    assert dark.mean() > 0.05, "there is chromatin in the middle"
    assert np.abs(plain - severe)[40:88, 40:88].mean() > 5


def test_scattering_grows_with_severity() -> None:
    def spread(severity: float) -> float:
        figures = [
            build_figure(np.random.default_rng(seed), PROMETAPHASE, OTHER, severity)
            for seed in range(40)
        ]
        return float(np.mean([np.hypot(figure.x, figure.y).mean() for figure in figures]))

    assert spread(0.0) < spread(0.3) < spread(0.6) < spread(1.0)


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
