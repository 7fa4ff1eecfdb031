"""What decides a member is in its fingerprint, and nothing else is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable, figures_from_frame
from atypia.fingerprint import ImageHashes
from atypia.training.backbone_weights import BackboneWeights
from atypia.training.recipe_file import read_recipe
from atypia.workflows.training.fit import compute_identities
from atypia.workflows.training.plan import plan_training, training_tables

CHANGES = ["folds.count=2", "schedule.min_steps=1", "domain_adversarial.weight=0.1"]
NONE = BackboneWeights()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    folder = tmp_path_factory.mktemp("cohort")
    return make_phantom(folder, figures=40, domains=2, slides_per_domain=5, size_px=48, seed=0)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    folder = tmp_path_factory.mktemp("others")
    return make_phantom(folder, figures=20, domains=2, slides_per_domain=5, size_px=48, seed=7)


def _identity(
    table: FigureTable,
    *changes: str,
    adapt_to: FigureTable | None = None,
    weights: BackboneWeights = NONE,
) -> dict[str, object]:
    table, adapt_to, _ = training_tables(table, adapt_to)
    plan = plan_training(table, read_recipe("lite", [*CHANGES, *changes]), adapt_to)
    identity = compute_identities(plan, weights, ImageHashes(Path("nothing is remembered")))[
        "folds"
    ]
    return json.loads(identity)


def _changed(before: dict[str, object], after: dict[str, object]) -> set[str]:
    return {key for key in before | after if before.get(key) != after.get(key)}


def test_other_weights_other_folds_and_another_recipe_are_another_training(
    table: FigureTable,
) -> None:
    before = _identity(table)
    weights = BackboneWeights(Path("w.safetensors"), "0f" * 32)
    assert _changed(before, _identity(table, weights=weights)) == {"weights"}
    assert _changed(before, _identity(table, "mixup.alpha=0.3")) == {"recipe"}
    assert _changed(before, _identity(table, "seed=5")) == {"recipe", "folds"}
    assert _changed(before, _identity(table, "card.licence=Ours.")) == set()


def test_figures_to_adapt_to_decide_with_their_images(
    table: FigureTable, others: FigureTable, tmp_path: Path
) -> None:
    alone, adapted = _identity(table), _identity(table, adapt_to=others)
    assert _changed(alone, adapted) == {"adapt_to"}
    fewer = figures_from_frame(others.frame.iloc[1:].reset_index(drop=True), others.root)
    assert _changed(adapted, _identity(table, adapt_to=fewer)) == {"adapt_to"}
    repainted = _repainted(others, tmp_path)
    assert _changed(adapted, _identity(table, adapt_to=repainted)) == {"adapt_to"}


def test_pixels_and_labels_decide_and_a_remark_does_not(table: FigureTable, tmp_path: Path) -> None:
    before = _identity(table)
    assert _changed(before, _identity(_repainted(table, tmp_path))) == {"images"}
    label = np.arange(len(table)) % 2
    assert "figures" in _changed(
        before, _identity(figures_from_frame(table.frame.assign(label=label), table.root))
    )
    remarked = figures_from_frame(table.frame.assign(remark="seen on Tuesday"), table.root)
    assert _changed(before, _identity(remarked)) == set()


def _repainted(table: FigureTable, root: Path) -> FigureTable:
    """The same figures with other pixels in the first image."""
    shutil.copytree(table.root, root, dirs_exist_ok=True)
    first = root / table.frame["image"].iloc[0]
    with Image.open(first) as image:
        inverted = ImageOps.invert(image)
    inverted.save(first)
    return FigureTable(table.frame, root)
