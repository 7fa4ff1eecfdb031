"""A frozen backbone looks at each figure once; heads are trained on what it said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from safetensors.torch import save_file

from atypia.data.phantom import make_phantom
from atypia.data.readers.open_figures import open_figures
from atypia.data.table import FigureTable
from atypia.files import sha256
from atypia.inference.predictor import Predictor
from atypia.models.backbones.registry import BackboneSpec
from atypia.models.classifier import Classifier
from atypia.training import embeddings as embedding
from atypia.training.backbone_weights import BackboneWeights
from atypia.training.batches import Embeddings
from atypia.training.embeddings import read_batch_source
from atypia.training.recipe import Recipe
from atypia.training.recipe_file import read_recipe
from atypia.workflows.train import train

SMALL = (
    "adapter.kind=linear",
    "backbone.input_px=32",
    "schedule.precision=32-true",
    "schedule.batch_size=16",
    "schedule.min_steps=1",
    "folds.count=2",
)
NO_WEIGHTS = BackboneWeights()


@pytest.fixture
def table(tmp_path: Path) -> FigureTable:
    make_phantom(tmp_path / "figures", figures=40, domains=2, slides_per_domain=5, size_px=96)
    return open_figures(tmp_path / "figures")


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many crops the backbone was shown, each time."""
    seen: list[int] = []
    embed = Classifier.embed

    def counted(self: Classifier, crops: torch.Tensor) -> torch.Tensor:
        seen.append(len(crops))
        return embed(self, crops)

    monkeypatch.setattr(Classifier, "embed", counted)
    return seen


def _recipe(*changes: str) -> Recipe:
    return read_recipe("lite", (*SMALL, *changes))


def _read(
    table: FigureTable, recipe: Recipe, folder: Path, weights: BackboneWeights = NO_WEIGHTS
) -> Embeddings:
    fabric = Fabric(accelerator="cpu", devices=1, precision=recipe.schedule.precision)
    content = [sha256(path) for path in table.image_paths()]
    source = read_batch_source(
        *(table, recipe, content, folder / "windows", folder / "kept", fabric, _nothing), weights
    )
    assert isinstance(source, Embeddings)
    return source


def _nothing(task: str, done: int, of: int, note: str) -> None:
    pass


def test_each_figure_is_embedded_once_whatever_is_trained_on_it(
    table: FigureTable, tmp_path: Path, looked_at: list[int]
) -> None:
    kept = tmp_path / "kept"
    train(table, _recipe(), tmp_path / "run", embeddings=kept)
    assert sum(looked_at) == len(table)
    train(table, _recipe("mixup.alpha=0", "seed=1"), tmp_path / "other", embeddings=kept)
    assert sum(looked_at) == len(table)
    assert not (tmp_path / "run" / "embeddings").exists()


def test_what_is_trained_on_embeddings_predicts_the_same_from_images(
    table: FigureTable, tmp_path: Path
) -> None:
    run = train(table, _recipe(), tmp_path / "run")
    kept = pd.read_csv(run.out_of_fold)
    predictor = Predictor.load(run.bundle, precision="fp32", threads=1, members=1)
    mpp = float(table.frame["mpp"].iloc[0])
    of_first = kept[(kept["fold"] == 0) & (table.frame["mpp"] == mpp)]
    again = predictor.predict([table.root / image for image in of_first["image"]], mpp=mpp)
    order = np.argsort(of_first["logit"].to_numpy())
    # Calibration is one increasing map; the order of the logits is that of P.
    assert np.all(np.diff(again["p_atypical"].to_numpy()[order]) > -1e-5)
    assert again["p_atypical"].std() > 0


def test_a_stop_loses_at_most_what_was_not_yet_written(
    table: FigureTable, tmp_path: Path, looked_at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "SCORE_BATCH", 8)
    monkeypatch.setattr(embedding, "_SAVE_SECONDS", 0.0)
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")

    def stop(task: str, done: int, of: int, note: str) -> None:
        if task == "embedding" and done == 24:
            raise KeyboardInterrupt

    content = [sha256(path) for path in table.image_paths()]
    with pytest.raises(KeyboardInterrupt):
        read_batch_source(
            *(table, _recipe(), content, tmp_path / "windows", tmp_path / "kept", fabric, stop),
            NO_WEIGHTS,
        )
    assert sum(looked_at) == 24
    whole = _read(table, _recipe(), tmp_path)
    assert sum(looked_at) == len(table)
    np.testing.assert_allclose(
        whole.values, _read(table, _recipe(), tmp_path / "new").values, rtol=1e-4, atol=1e-5
    )


def test_a_changed_image_and_a_broken_file_are_embedded_again(
    table: FigureTable, tmp_path: Path, looked_at: list[int]
) -> None:
    before = _read(table, _recipe(), tmp_path)
    path = table.image_paths()[3]
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    after = _read(table, _recipe(), tmp_path)
    assert sum(looked_at) == len(table) + 1
    changed = np.flatnonzero((before.values != after.values).any(axis=1))
    assert changed.tolist() == [3]
    for file in (tmp_path / "kept").rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:-100])
    _read(table, _recipe(), tmp_path)
    assert sum(looked_at) == 2 * len(table) + 1


@pytest.mark.parametrize("change", ["backbone.crop_um=12", "backbone.input_px=48"])
def test_another_crop_is_another_embedding(
    table: FigureTable, tmp_path: Path, looked_at: list[int], change: str
) -> None:
    _read(table, _recipe(), tmp_path)
    _read(table, _recipe(change), tmp_path)
    assert sum(looked_at) == 2 * len(table)


def test_other_weights_are_another_embedding(
    table: FigureTable, tmp_path: Path, stand_in: BackboneSpec, looked_at: list[int]
) -> None:
    recipe = _recipe("backbone.key=stand-in")
    counts = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        file = tmp_path / "model.safetensors"
        save_file(stand_in.create().state_dict(), file)
        _read(table, recipe, tmp_path, BackboneWeights(file, sha256(file)))
        counts.append(sum(looked_at))
    assert counts == [len(table), 2 * len(table), 2 * len(table)]
