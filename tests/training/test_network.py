"""The network in training: a bundle's classifier, and heads beside it for the losses."""

from __future__ import annotations

import torch

from atypia.data.table import FigureTable
from atypia.training.figures import (
    training_figures,
)
from atypia.training.network import TrainingNetwork
from atypia.training.recipe import Recipe
from small_training import small_recipe


def _network(table: FigureTable, *changes: str) -> tuple[TrainingNetwork, Recipe]:
    recipe = small_recipe("plain", "adapter.kind=full", *changes)
    torch.manual_seed(0)
    return TrainingNetwork(recipe, training_figures(table, recipe.soft_labels)), recipe


def test_only_losses_that_are_on_have_heads_and_no_bundle_keeps_them(table: FigureTable) -> None:
    assert not list(_network(table)[0].heads)
    network, _ = _network(table, "contrastive.weight=0.5", "domain_adversarial.weight=0.1")
    assert set(network.heads) == {"contrastive", "domain_adversarial"}
    saved = network.classifier.saved_state()
    assert not [name for name in saved if "heads" in name or "contrastive" in name]


def test_heads_take_the_unmixed_crops_at_the_end_of_a_batch(table: FigureTable) -> None:
    network, _ = _network(table, "contrastive.weight=0.5", "phase.weight=0.5")
    network.eval()
    crops = torch.rand(6, 3, 32, 32)
    with torch.no_grad():
        output = network(crops, 2, 0.5)
        alone = network(crops[4:], 2, 0.5)
    assert output.logit.shape == (6,)
    assert output.phase is not None and output.phase.shape == (6, 8)
    assert output.heads["contrastive"].shape == (2, 128)
    torch.testing.assert_close(
        output.heads["contrastive"], alone.heads["contrastive"], rtol=1e-4, atol=1e-5
    )


def test_the_domain_head_learns_faster_than_other_heads(table: FigureTable) -> None:
    network, _ = _network(table, "contrastive.weight=0.5", "domain_adversarial.weight=0.1")
    factors = network.rate_factors()
    own = {name for name, _ in network.named_parameters() if name.startswith("heads.")}
    assert factors.keys() == own
    assert {factors[name] for name in own if "domain" in name} == {5.0}
    assert {factors[name] for name in own if "contrastive" in name} == {1.0}
