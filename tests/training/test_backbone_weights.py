"""Training on a backbone whose weights are a file: found before any work, named in the bundle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from atypia.bundle.manifest import read_manifest
from atypia.data.phantom import make_phantom
from atypia.data.readers.open_figures import open_figures
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError
from atypia.files import sha256
from atypia.inference.predictor import Predictor
from atypia.models.backbones.registry import BackboneSpec
from atypia.training.recipe import Recipe
from atypia.training.recipe_file import read_recipe
from atypia.workflows.train import train


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    folder = tmp_path_factory.mktemp("cohort")
    make_phantom(folder, figures=48, domains=2, slides_per_domain=8, size_px=96, seed=0)
    return open_figures(folder)


@pytest.fixture
def weights(stand_in: BackboneSpec, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    (tmp_path / "weights").mkdir()
    save_file(stand_in.create().state_dict(), tmp_path / "weights" / "model.safetensors")
    return tmp_path / "weights"


def _recipe(*changes: str) -> Recipe:
    return read_recipe(
        "lite",
        (
            "backbone.key=stand-in",
            "backbone.input_px=32",
            "adapter.kind=lora",
            "folds.count=2",
            "schedule.epochs=1",
            "schedule.batch_size=16",
            "schedule.min_steps=1",
            *changes,
        ),
    )


def test_a_bundle_of_an_adapter_says_which_weights_it_needs(
    table: FigureTable, weights: Path, tmp_path: Path
) -> None:
    run = train(table, _recipe(), tmp_path / "run", weights=weights)
    file = weights / "model.safetensors"
    assert read_manifest(run.bundle).weights_sha256 == sha256(file)
    crop = sorted((table.root / "images").glob("*.png"))[0]
    frame = Predictor.load(run.bundle, weights=file, threads=1).predict([crop], mpp=0.25)
    assert 0 < frame["p_atypical"][0] < 1
    with pytest.raises(AtypiaError, match="atypia models fetch stand-in"):
        Predictor.load(run.bundle)


@pytest.mark.parametrize(
    ("change", "given", "told"),
    [
        ("backbone.input_px=32", False, "the weights are not on this machine"),
        ("backbone.input_px=40", True, "multiples of 16 px, such as 32, 48 or 64"),
        ("backbone.pretrained=false", True, "leave out --weights"),
    ],
)
def test_what_cannot_be_built_is_refused_before_any_work(
    table: FigureTable, weights: Path, tmp_path: Path, change: str, given: bool, told: str
) -> None:
    with pytest.raises(AtypiaError, match=told):
        train(table, _recipe(change), tmp_path / "run", weights=weights if given else None)
    assert not (tmp_path / "run").exists()
