"""Scores during training are in the order of the rows, in every view where they are final."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atypia.data.table import FigureTable
from atypia.models.classifier import Classifier, build_classifier
from atypia.training import scoring
from atypia.training.batches import (
    read_windows,
)
from atypia.training.devices import open_fabric
from atypia.training.recipe import Recipe
from atypia.training.scoring import infer
from small_training import small_recipe


def _classifier(recipe: Recipe) -> Classifier:
    torch.manual_seed(0)
    classifier = build_classifier("lite", recipe.adapter, pretrained=False, input_px=32)
    torch.nn.init.normal_(classifier.head.weight)
    return classifier


def test_scores_stand_in_the_order_of_the_rows_whatever_the_batch(
    table: FigureTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small_recipe("plain", "adapter.kind=full")
    classifier, windows = _classifier(recipe), read_windows(table, recipe)
    fabric = open_fabric("cpu", recipe.schedule)
    rows = np.array([7, 3, 20, 11, 0])
    whole = infer(classifier.train(), windows, rows, recipe, fabric, exact=True)
    assert not classifier.training
    monkeypatch.setattr(scoring, "SCORE_BATCH", 2)
    parts = infer(classifier, windows, rows[::-1].copy(), recipe, fabric, exact=True)
    torch.testing.assert_close(parts.logit.flip(0), whole.logit, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(parts.embedding.flip(0), whole.embedding, rtol=1e-3, atol=1e-4)
    assert whole.logit.shape == (5,) and whole.phase is None
    assert len(torch.unique(whole.logit)) == 5


def test_views_count_in_final_scores_only(table: FigureTable) -> None:
    plain, viewed = (
        small_recipe("plain", "adapter.kind=full", f"backbone.tta_views={views}")
        for views in (1, 4)
    )
    classifier, windows = _classifier(plain), read_windows(table, plain)
    fabric = open_fabric("cpu", plain.schedule)
    rows = np.arange(4)
    one, four, quick = (
        infer(classifier, windows, rows, recipe, fabric, exact=exact).logit
        for recipe, exact in ((plain, True), (viewed, True), (viewed, False))
    )
    assert not torch.allclose(one, four)
    torch.testing.assert_close(one, quick)
