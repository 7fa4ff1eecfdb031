"""The bundle that comes with atypia: whole, small, and honest about where it was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import atypia
from atypia.bundle import default
from atypia.bundle.calibration import read_calibration
from atypia.bundle.default import default_bundle
from atypia.bundle.manifest import CARD_NAME, read_manifest
from atypia.bundle.verify import require_intact
from atypia.errors import AtypiaError
from atypia.inference.exported import exported_faults
from atypia.inference.predictor import Predictor
from atypia.training.recipe import deciding_values
from atypia.training.recipe_file import read_recipe
from atypia.workflows.predict import predict

MOST_BYTES = 12 * 2**20


def test_it_is_whole_and_small() -> None:
    folder = default_bundle()
    require_intact(folder)
    assert read_manifest(folder).name == folder.name == "atypia-lite"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    assert {path.suffix for path in files} == {".json", ".md", ".safetensors", ".onnx", ""}


def test_it_is_what_its_recipe_makes() -> None:
    recipe, manifest = read_recipe("atypia-lite"), read_manifest(default_bundle())
    assert (manifest.name, manifest.backbone) == (recipe.name, recipe.backbone.key)
    assert manifest.adapter == recipe.adapter
    assert (manifest.crop_um, manifest.input_px) == (
        recipe.backbone.crop_um,
        recipe.backbone.input_px,
    )
    assert manifest.views == recipe.backbone.tta_views
    assert recipe.folds.bundle == "whole"
    assert len(manifest.members) == recipe.folds.members == 1
    card = (default_bundle() / CARD_NAME).read_text(encoding="utf-8")
    assert recipe.card.data in card
    assert recipe.card.licence in card


def test_its_recipe_is_lite_on_a_larger_network_taught_and_with_stronger_augmentation() -> None:
    lite = deciding_values(read_recipe("lite"))
    own = deciding_values(read_recipe("atypia-lite"))
    changed = {key: own[key] for key in own if own[key] != lite[key]}
    assert changed == {
        "name": "atypia-lite",
        "backbone.key": "lite2",
        "distillation.weight": 0.7,
        "distillation.turned": True,
        "augment.scale": 0.3,
        "augment.stain": 0.4,
        "augment.brightness": 0.2,
        "augment.blur": 0.2,
        "augment.jpeg": 0.2,
        "folds.scheme": "domains",
        "folds.domain_groups": 4,
        "folds.bundle": "whole",
    }


def test_it_is_calibrated_on_domains_left_out_and_its_card_tells_each() -> None:
    folder = default_bundle()
    assert "4 groups of the 13 domains left out" in read_calibration(folder).fitted_on
    _, elsewhere = (
        (folder / CARD_NAME).read_text(encoding="utf-8").split("## Accuracy in domains unseen")
    )
    for scanner in ("Aperio CS2", "Aperio XT", "S360", "Hamamatsu XR", "second", "third"):
        assert scanner in elsewhere
    for tumour in ("mast cell", "lymphoma", "melanoma", "lung", "soft tissue", "neuroendocrine"):
        assert tumour in elsewhere


def test_its_network_lies_in_it_and_answers_as_torch_does(crop_folder: Path) -> None:
    folder = default_bundle()
    assert not exported_faults(folder)
    exported, torchs = (
        Predictor.load(folder, runtime=key, precision="fp32", threads=1).predict(
            sorted(crop_folder.iterdir()), mpp=0.4
        )["p_atypical"]
        for key in ("onnx", "torch")
    )
    difference = np.abs(exported.to_numpy(float) - torchs.to_numpy(float)).max()
    assert difference <= 0.01  # what `bundle export --half` allows


def test_it_classifies_where_no_bundle_is_named(crop_folder: Path, tmp_path: Path) -> None:
    record = predict([crop_folder], tmp_path / "p.csv", mpp=0.4, threads=1)
    assert record.bundle_name == "atypia-lite"
    assert record.members == 1
    table = pd.read_csv(tmp_path / "p.csv")
    assert len(table) == record.figures
    assert table["p_atypical"].between(0, 1).all()
    image = np.full((64, 64, 3), 200, dtype=np.uint8)
    assert len(atypia.load(threads=1).predict([image], mpp=0.25)) == 1


def test_an_installation_without_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for held in (None, tmp_path):
        monkeypatch.setattr(default, "shipped_folder", lambda _, held=held: held)
        with pytest.raises(AtypiaError, match="reinstall atypia"):
            default_bundle()
