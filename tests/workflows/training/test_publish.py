"""What a training says of figures whose slides are not known; the export at its end."""

from __future__ import annotations

import shutil
from html import escape
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import atypia
from atypia.bundle.calibration import read_calibration
from atypia.bundle.manifest import CARD_NAME
from atypia.bundle.verify import bundle_faults
from atypia.data.predictions import check_predictions
from atypia.data.table import FigureTable, figures_from_frame
from atypia.errors import AtypiaError
from atypia.evaluation.judge import judge
from atypia.evaluation.training_story import TrainingStory
from atypia.inference.exported import exported_faults
from atypia.training.recipe_file import read_recipe
from atypia.workflows.training import publish
from atypia.workflows.training.judge import judge_members
from atypia.workflows.training.plan import plan_training
from atypia.workflows.training.publish import (
    TrainingRun,
    export_run_bundle,
    save_run_bundle,
)
from atypia.workflows.training.record import run_facts

RECIPE = read_recipe("lite", ["folds.count=2", "phase.weight=0"])


def _table(root: Path, slide: list[str], name: str = "a lab") -> FigureTable:
    rows = np.arange(40)
    frame = pd.DataFrame(
        {
            "figure_id": [f"f{row}" for row in rows],
            "image": [f"f{row}.png" for row in rows],
            "slide": slide,
            "laboratory": name,
            "mpp": 0.25,
            "label": rows % 2,
        }
    )
    return figures_from_frame(frame, root)


def _texts(table: FigureTable, folder: Path) -> dict[str, str]:
    """Return what stands in the facts of the report, in the calibration, and in the card."""
    plan = plan_training(table, RECIPE)
    logit = np.where(plan.figures.truth == 1, 1.0, -1.0) + np.linspace(-2, 2, len(table))
    members = []
    for part in range(2):
        out = plan.folds.held_out(part)
        members.append(
            SimpleNamespace(
                held_out=out, logit=logit[out], phase=np.empty(0), state={"w": torch.zeros(1)}
            )
        )
    judged = judge_members(plan, {"folds": members})
    save_run_bundle(folder, plan, members, judged, "")
    calibration = read_calibration(folder)
    return {
        **run_facts(plan, plan.folds, judged.calibration.refer_rule),
        "fitted on": calibration.fitted_on,
        "refer": calibration.refer_rule,
        "card": (folder / CARD_NAME).read_text(encoding="utf-8"),
    }


@pytest.mark.parametrize("named", [0, 20])
def test_unknown_slides_are_said_wherever_a_training_says_of_what_it_is(
    named: int, tmp_path: Path
) -> None:
    slides = [f"s{row // 4}" if row < named else "" for row in range(40)]
    texts = _texts(_table(tmp_path, slides), tmp_path / "bundle")
    cases = "5 cases and some unknown" if named else "unknown cases"
    assert texts["Figures"] == f"40 of {cases} in 1 domain"
    for text in (texts["Evaluation"], texts["fitted on"], texts["refer"], texts["card"]):
        assert "no slide" in text
    assert f"40 figures of {cases} from" in texts["card"]
    assert "40 cases" not in texts["card"].replace("count as cases", "")


def test_known_slides_are_counted(tmp_path: Path) -> None:
    texts = _texts(_table(tmp_path, [f"s{row // 4}" for row in range(40)]), tmp_path / "bundle")
    assert texts["Figures"] == "40 of 10 cases in 1 domain"
    assert texts["fitted on"] == "out-of-fold scores of 40 figures, 2 folds by slides"
    assert "no slide" not in "".join(texts.values())


def test_the_card_shows_names_as_they_are(tmp_path: Path) -> None:
    root = tmp_path / "my `crops`"
    root.mkdir()
    slides = [f"s{row // 4}" for row in range(40)]
    card = _texts(_table(root, slides, "a|b <i>"), tmp_path / "bundle")["card"]
    assert "| a\\|b \\<i> | 40 |" in card
    assert "from my \\`crops\\`," in card


def test_a_run_is_printed_with_its_results_and_where_they_lie(tmp_path: Path) -> None:
    plan = plan_training(_table(tmp_path, [f"s{row}" for row in range(40)]), RECIPE)
    truth = plan.figures.truth
    scores = pd.DataFrame(
        {
            "figure_id": plan.table.frame["figure_id"],
            "p_atypical": truth,
            "call": np.where(truth == 1, "atypical", "normal"),
        }
    )
    judgement = judge(check_predictions(scores), plan.table)
    folder = tmp_path / "<run>"
    files = folder / "bundle", folder / "out_of_fold.csv", folder / "report.html"
    run = TrainingRun(*files, judgement, TrainingStory())
    assert repr(run).startswith("TrainingRun: Judgement of 40 figures, 20 atypical, of 40 cases")
    places = [f"bundle: {files[0]}", f"out-of-fold predictions: {files[1]}", f"report: {files[2]}"]
    assert [line.strip() for line in repr(run).splitlines()[1:]] == places
    html = run._repr_html_()
    assert all(f"<li>{escape(place)}</li>" in html for place in places)
    assert "<run>" not in html


def test_a_fresh_bundle_is_exported_and_classified_without_torch(
    small_bundle: Path, crop_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_bundle, tmp_path / "bundle"))
    export_run_bundle(folder, read_recipe("lite"))
    assert bundle_faults(folder) == exported_faults(folder) == []
    predictor = atypia.load(folder, precision="fp32")
    assert predictor.runtime.version_text.startswith("onnxruntime ")
    assert len(predictor.predict(sorted(crop_folder.iterdir()), mpp=0.25)) == 12


def test_a_bundle_that_cannot_be_exported_is_a_warning_and_a_large_one_is_left_alone(
    small_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = Path(shutil.copytree(small_bundle, tmp_path / "bundle"))
    asked: list[Path] = []

    def refuse(folder: Path, *, overwrite: bool) -> None:
        asked.append(folder)
        raise AtypiaError(f"{folder}: cannot be exported")

    monkeypatch.setattr(publish, "export_onnx", refuse)
    export_run_bundle(folder, read_recipe("lite"))
    assert asked == [folder]
    assert f"{folder}: cannot be exported; the bundle is classified with torch" in caplog.text
    export_run_bundle(folder, read_recipe("h-optimus-0"))
    monkeypatch.setattr(publish, "LARGEST_EXPORTED", 1_000_000)
    export_run_bundle(folder, read_recipe("lite"))
    assert asked == [folder]
