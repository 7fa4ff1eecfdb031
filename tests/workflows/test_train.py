"""Training leaves what it promises; what it cannot work on is refused with the reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps
from safetensors import safe_open
from safetensors.torch import load_file

import atypia
from atypia.bundle.load import load_bundle
from atypia.bundle.save import save_bundle
from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable, figures_from_frame
from atypia.data.votes import hard_labels
from atypia.errors import AtypiaError
from atypia.evaluation.calibration import Calibration, fit_calibration
from atypia.inference.runtimes.torch import load_members
from atypia.training.recipe import Recipe, deciding_values
from atypia.training.recipe_file import read_recipe
from atypia.workflows.train import train
from atypia.workflows.training.plan import expected_shares
from atypia.workflows.training.publish import TrainingRun

QUICK = [
    "folds.count=2",
    "schedule.epochs=2",
    "schedule.batch_size=16",
    "schedule.min_steps=1",
    "backbone.input_px=48",
    "schedule.precision=32-true",
]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    folder = tmp_path_factory.mktemp("cohort")
    return make_phantom(folder, figures=60, domains=2, slides_per_domain=4, size_px=96, seed=0)


@pytest.fixture(scope="module")
def run(cohort: FigureTable, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    torch.set_num_threads(1)
    # As the README does it: through the public names, paths as plain text.
    figures = atypia.open_figures(str(cohort.root / "figures.csv"))
    out = str(tmp_path_factory.mktemp("run"))
    recipe = atypia.read_recipe("lite", [*QUICK, "backbone.tta_views=2"])
    return atypia.train(figures, recipe, out)


def test_every_figure_is_scored_once_by_a_member_that_has_not_seen_its_case(
    cohort: FigureTable, run: TrainingRun
) -> None:
    scored = pd.read_csv(run.out_of_fold)
    assert list(scored["figure_id"]) == list(cohort.frame["figure_id"])
    assert scored["p_atypical"].between(0, 1).all()
    folds_of_case = scored["fold"].groupby(cohort.frame["case"].to_numpy()).nunique()
    assert (folds_of_case == 1).all()
    assert scored["fold"].nunique() == 2


def test_the_bundle_holds_the_members_that_gave_the_scores(
    cohort: FigureTable, run: TrainingRun
) -> None:
    assert len(load_members(load_bundle(run.bundle))) == 2
    for fold in (0, 1):
        kept = load_file(run.bundle.parent / "folds" / str(fold) / "member.safetensors")
        shipped = load_file(run.bundle / "members" / f"{fold}.safetensors")
        assert kept.keys() == shipped.keys()
        assert all(torch.equal(kept[name], shipped[name]) for name in kept)


def test_prediction_sees_a_figure_as_training_saw_it(cohort: FigureTable, run: TrainingRun) -> None:
    """A member's logit on a held-out figure is the same through `predict` as it was in `train`."""
    bundle = load_bundle(run.bundle)
    scored = pd.read_csv(run.out_of_fold)
    held_out = np.flatnonzero(scored["fold"] == 0)
    alone = run.bundle.parent / "alone"
    save_bundle(
        alone,
        bundle.manifest.model_copy(update={"members": ("members/0.safetensors",)}),
        [load_members(bundle)[0].saved_state()],
        Calibration(1.0, 0.0, 0.5, 0.4, 0.6, "nothing"),
        "",
    )
    predictor = atypia.load(alone, precision="fp32")
    paths = cohort.image_paths()
    for mpp in np.unique(cohort.frame["mpp"]):
        rows = [row for row in held_out if cohort.frame["mpp"][row] == mpp]
        p = predictor.predict([paths[row] for row in rows], mpp=float(mpp))["p_atypical"]
        expected = 1 / (1 + np.exp(-scored["logit"].to_numpy()[rows]))
        np.testing.assert_allclose(p.to_numpy(dtype=float), expected, atol=2e-4)


def test_record_report_and_card_are_there(run: TrainingRun) -> None:
    out = run.bundle.parent
    record = json.loads((out / "run.json").read_text())
    assert record["figures"] == 60
    assert len(record["seconds_of_member"]) == 2
    assert "<html" in run.report.read_text(encoding="utf-8")
    assert "60 figures" in (run.bundle / "card.md").read_text(encoding="utf-8")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["overall"]["figures"] == run.judgement.overall.figures


def test_another_card_is_written_over_the_same_members(
    cohort: FigureTable, run: TrainingRun, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(run.bundle.parent, out)
    steps: list[str] = []
    again = train(
        atypia.open_figures(cohort.root / "figures.csv"),
        atypia.read_recipe("lite", [*QUICK, "backbone.tta_views=2", "card.licence=Ours alone."]),
        out,
        on_progress=lambda task, done, of, note: steps.append(task),
    )
    assert not [task for task in steps if task.startswith("training")]
    assert "Ours alone." in (again.bundle / "card.md").read_text(encoding="utf-8")
    for fold in (0, 1):
        name = f"members/{fold}.safetensors"
        assert (again.bundle / name).read_bytes() == (run.bundle / name).read_bytes()


def test_images_that_changed_since_are_noticed_and_nothing_is_overwritten(
    cohort: FigureTable, run: TrainingRun, tmp_path: Path
) -> None:
    out, root = tmp_path / "run", tmp_path / "figures"
    shutil.copytree(run.bundle.parent, out)
    shutil.copytree(cohort.root, root)
    recipe = read_recipe("lite", [*QUICK, "backbone.tta_views=2"])
    table = atypia.open_figures(root / "figures.csv")
    train(table, recipe, out)  # copied, and nothing in them has changed
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for path in table.image_paths()[:7]:
        with Image.open(path) as image:
            inverted = ImageOps.invert(image)
        inverted.save(path)
    with pytest.raises(AtypiaError, match="7 images have changed since members were trained"):
        train(table, recipe, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_what_decides_a_member_names_no_setting_at_its_default(run: TrainingRun) -> None:
    with safe_open(run.bundle.parent / "folds" / "0" / "member.safetensors", "pt") as file:
        decides = json.loads(file.metadata()["identity"])
    defaults = deciding_values(Recipe())
    assert decides["recipe"]["backbone.input_px"] == 48
    assert all(defaults.get(key) != value for key, value in decides["recipe"].items())
    assert set(decides) == {"recipe", "figures", "images", "folds"}


def test_a_recipe_with_remarks_of_the_user_is_left_as_it_is(
    cohort: FigureTable, run: TrainingRun, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(run.bundle.parent, out)
    mine = (out / "recipe.toml").read_text() + "# tried on Tuesday\n"
    (out / "recipe.toml").write_text(mine)
    figures = atypia.open_figures(cohort.root / "figures.csv")
    for _ in range(2):
        train(figures, read_recipe(out / "recipe.toml"), out)
        assert (out / "recipe.toml").read_text() == mine


def test_a_bundle_that_changed_since_is_not_replaced_unless_asked(
    cohort: FigureTable, run: TrainingRun, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(run.bundle.parent, out)
    (out / "bundle" / "card.md").write_text("with my remarks")
    recipe = read_recipe("lite", [*QUICK, "backbone.tta_views=2"])
    with pytest.raises(AtypiaError, match=r"bundle: is a bundle .* has changed since"):
        train(cohort, recipe, out)
    assert (out / "bundle" / "card.md").read_text() == "with my remarks"
    train(cohort, recipe, out, overwrite=True)
    assert "60 figures" in (out / "bundle" / "card.md").read_text(encoding="utf-8")


def test_a_small_set_is_shown_until_there_are_steps_enough(
    cohort: FigureTable, tmp_path: Path
) -> None:
    steps: dict[str, int] = {}
    changes = [*QUICK, "schedule.epochs=1", "schedule.min_steps=5", "backbone.input_px=32"]
    train(
        cohort,
        read_recipe("lite", changes),
        tmp_path,
        on_progress=lambda task, done, of, note: steps.update({task: of}),
    )
    # About 30 figures to train on are 2 steps an epoch; whole epochs are shown.
    assert steps["training fold 1 of 2"] == 6


def test_held_out_figures_are_neither_trained_on_nor_judged_and_odd_labels_are_said(
    cohort: FigureTable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held_out = cohort.frame["case"].isin(sorted(set(cohort.frame["case"]))[:2])
    truth = hard_labels(cohort.frame)
    label = np.where(cohort.frame.index == cohort.frame.index[~held_out][0], 1 - truth, truth)
    split = np.where(held_out, "Test", "train")
    table = figures_from_frame(cohort.frame.assign(split=split, label=label), cohort.root)
    caplog.set_level("INFO", "atypia")
    changes = [*QUICK, "schedule.epochs=1", "backbone.input_px=32"]
    run = train(table, read_recipe("lite", changes), tmp_path)
    scored = pd.read_csv(run.out_of_fold)
    assert list(scored["figure_id"]) == list(table.frame["figure_id"][~held_out])
    assert any(f"{held_out.sum()} figures left out of training" in line for line in caplog.messages)
    assert any("1 of " in line and "labels contradict" in line for line in caplog.messages)
    assert sum("left out of training" in note for note in run.judgement.notes) == 1
    shares = expected_shares(table, read_recipe("lite", changes))
    assert shares["figures"].sum() == (~held_out).sum()


def test_folds_that_leave_one_class_are_refused_before_any_training(
    cohort: FigureTable, tmp_path: Path
) -> None:
    votes = {f"vote_{expert}": 0.0 for expert in (1, 2, 3)}
    frame = cohort.frame.assign(**votes, label=np.nan)
    of_one_case = frame["case"] == frame["case"].iloc[0]
    frame.loc[of_one_case, list(votes)] = 1.0
    with pytest.raises(AtypiaError, match="no atypical figure is left to train on"):
        train(figures_from_frame(frame, cohort.root), read_recipe("lite", QUICK), tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_leaving_domains_out_holds_each_domain_in_one_fold(
    cohort: FigureTable, tmp_path: Path
) -> None:
    changes = [*QUICK, "schedule.epochs=1", "folds.scheme=domains"]
    result = train(cohort, read_recipe("lite", changes), tmp_path)
    scored = pd.read_csv(result.out_of_fold)
    assert (scored["fold"].groupby(cohort.frame["laboratory"].to_numpy()).nunique() == 1).all()
    card = (result.bundle / "card.md").read_text(encoding="utf-8")
    known, unseen = card.split("## Accuracy in domains unseen in training")
    assert "Not measured: all held-out figures were of domains unseen" in known
    assert "| domain | figures | atypical | balanced accuracy | 95 % from | to |" in unseen


def test_domains_left_out_beside_the_folds_judge_and_calibrate_the_bundle(
    cohort: FigureTable, tmp_path: Path
) -> None:
    changes = [*QUICK, "schedule.epochs=1", "folds.left_out_domains=true"]
    result = train(cohort, read_recipe("lite", changes), tmp_path)
    assert len(load_members(load_bundle(result.bundle))) == 2
    left_out = pd.read_csv(tmp_path / "left_out.csv")
    domain = cohort.frame["laboratory"].to_numpy()
    assert (left_out["fold"].groupby(domain).nunique() == 1).all()
    truth, case = hard_labels(cohort.frame), cohort.frame["case"].to_numpy()
    wanted, of_folds = (
        fit_calibration(scores["logit"].to_numpy(), truth, truth, case, domain, fitted_on="")
        for scores in (left_out, pd.read_csv(result.out_of_fold))
    )
    calibration = load_bundle(result.bundle).calibration
    assert calibration.operating_point == pytest.approx(wanted.operating_point, abs=1e-6)
    assert calibration.refer_low == pytest.approx(wanted.refer_low, abs=1e-6)
    assert calibration.refer_low != pytest.approx(of_folds.refer_low, abs=1e-6)
    assert "2 domains left out" in calibration.fitted_on
    card = (result.bundle / "card.md").read_text(encoding="utf-8")
    _, elsewhere = card.split("## Accuracy in domains unseen in training")
    assert result.left_out is not None
    values = result.left_out.domains.frame["balanced_accuracy"]
    assert all(f"| {value:.3f} |" in elsewhere for value in values)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["left_out_domains"]["overall"]["figures"] == len(cohort)
    assert "<html" in (tmp_path / "left_out.html").read_text(encoding="utf-8")


def test_several_members_without_a_fold_are_scored_by_their_mean_and_all_shipped(
    cohort: FigureTable, run: TrainingRun, tmp_path: Path
) -> None:
    result = train(
        cohort, read_recipe("lite", [*QUICK, "backbone.tta_views=2", "folds.members=2"]), tmp_path
    )
    assert len(load_members(load_bundle(result.bundle))) == 4
    scored, of_one = pd.read_csv(result.out_of_fold), pd.read_csv(run.out_of_fold)
    assert (scored["fold"] == of_one["fold"]).all()
    folders = [tmp_path / "folds" / name for name in ("0", "1", "0-2", "1-2")]
    for number, folder in enumerate(folders):
        shipped = load_file(result.bundle / "members" / f"{number}.safetensors")
        kept = load_file(folder / "member.safetensors")
        assert all(torch.equal(kept[name], shipped[name]) for name in kept)
    for fold in (0, 1):
        of_members = [
            load_file(folder / "scores.safetensors")["logit"].numpy() for folder in folders[fold::2]
        ]
        assert not np.allclose(*of_members)
        here = scored["fold"] == fold
        np.testing.assert_allclose(scored["logit"][here], np.mean(of_members, axis=0), rtol=1e-5)
        # The first is the member that a training of one has.
        np.testing.assert_array_equal(of_members[0], of_one["logit"][here].astype(np.float32))


def test_domains_cannot_be_left_out_of_a_set_of_one(cohort: FigureTable, tmp_path: Path) -> None:
    one = cohort.frame["laboratory"] == cohort.frame["laboratory"].iloc[0]
    table = figures_from_frame(cohort.frame[one].reset_index(drop=True), cohort.root)
    with pytest.raises(AtypiaError, match="one domain"):
        train(table, read_recipe("lite", [*QUICK, "folds.left_out_domains=true"]), tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f[f["truth"] == 0], "no atypical figure"),
        (lambda f: f.assign(slide="s", case="c"), "one case"),
        (lambda f: f.assign(mpp=np.nan), "mpp"),
        (lambda f: f.assign(vote_1=np.nan, vote_2=np.nan, vote_3=np.nan), "neither a label"),
    ],
)
def test_a_table_that_cannot_work_is_refused_with_the_reason(
    cohort: FigureTable, tmp_path: Path, change, said: str
) -> None:
    frame = cohort.frame.assign(truth=hard_labels(cohort.frame))
    table = figures_from_frame(
        change(frame).drop(columns="truth").reset_index(drop=True), cohort.root
    )
    with pytest.raises(AtypiaError, match=said):
        train(table, read_recipe("lite", QUICK), tmp_path)
