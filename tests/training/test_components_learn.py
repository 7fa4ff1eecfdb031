"""Components on data whose truth is planted: they do what they are for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable
from atypia.data.windows import Windows
from atypia.training.batches import read_windows
from atypia.training.components.domain_adversarial import DomainAdversarialSection
from atypia.training.components.hard_negatives import HardNegatives
from atypia.training.devices import open_fabric
from atypia.training.figures import TrainingFigures, training_figures
from atypia.training.loop import MemberInputs, train_member
from atypia.training.member import Member
from atypia.training.recipe import Recipe
from atypia.training.recipe_file import read_recipe

SMALL = ["backbone.input_px=32", "schedule.epochs=1", "schedule.batch_size=16"]
NOBODY = np.empty(0, dtype=np.int64)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[FigureTable, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("cohort")
    table = make_phantom(folder, figures=240, domains=1, slides_per_domain=24, size_px=96, seed=0)
    return table, pd.read_csv(folder / "truth.csv")


def _train(
    table: FigureTable,
    recipe: Recipe,
    figures: TrainingFigures,
    held_out: np.ndarray,
    folder: Path,
    tint: np.ndarray | None = None,
) -> Member:
    torch.set_num_threads(1)
    windows = read_windows(table, recipe)
    if tint is not None:
        pixels = (windows.pixels * tint[:, None, None, :]).astype(np.uint8)
        windows = Windows(pixels, windows.size_px, windows.mpp)
    return train_member(
        MemberInputs(recipe, windows, figures, open_fabric("cpu", recipe.schedule)),
        held_out,
        folder,
        member=0,
        identity="a test",
        on_progress=lambda _: None,
    )


@pytest.mark.slow  # in the quick suite: components/test_hard_negatives.py
def test_planted_hard_negatives_are_mined_and_planted_label_noise_is_not(
    cohort: tuple[FigureTable, pd.DataFrame], tmp_path: Path
) -> None:
    """Plainly atypical figures that all experts call normal, and ones that two of three do."""
    table, truth = cohort
    recipe = read_recipe(
        "plain",
        [*SMALL, "backbone.input_px=48", "hard_negatives.oversampling=3", "schedule.min_steps=60"],
    )
    plain = np.flatnonzero((truth["true_label"] == 1) & (truth["severity"] > 0.8))
    chosen = np.random.default_rng(0).permutation(plain)
    hard, noise = chosen[:12], chosen[12:24]
    votes = np.repeat(truth["true_label"].to_numpy(dtype=float)[:, None], 3, axis=1)
    votes[hard] = 0
    votes[noise] = [0, 0, 1]
    fraction = votes.mean(axis=1)
    figures = replace(
        training_figures(table, recipe.soft_labels),
        votes=votes,
        truth=(fraction > 0.5).astype(float),
        target=(fraction > 0.5).astype(np.float32),
        unanimous=np.isin(fraction, (0, 1)),
    )
    member = _train(table, recipe, figures, NOBODY, tmp_path)
    normal = np.flatnonzero(fraction < 0.5)
    score = member.hardness[normal].astype(float)
    again = HardNegatives(recipe.hard_negatives, normal, figures.unanimous[normal])
    again.update(score)
    # By chance a fifth of the twelve would be.
    assert np.isin(hard, again.mined).sum() >= 7
    assert not np.isin(noise, again.mined).any()
    # It is the cap that keeps them out: they score as high.
    hardest = normal[np.argsort(-score)[: len(again.mined)]]
    assert np.isin(noise, hardest).sum() >= 5


def test_an_embedding_trained_against_the_domain_head_forgets_the_domain() -> None:
    """One direction of the input tells the class, one the domain; a linear encoder keeps both."""
    drawn = torch.Generator().manual_seed(0)
    label, domain = torch.randint(2, (2, 400), generator=drawn)
    crops = torch.randn(400, 6, generator=drawn)
    crops[:, 0] += 4 * label
    crops[:, 1] += 4 * domain
    component = DomainAdversarialSection(weight=1.0)
    domains = SimpleNamespace(domains=["a", "b"])
    steps, found = 300, {}
    for reversed_ in (False, True):
        torch.manual_seed(0)
        encoder, classifier = nn.Linear(6, 4), nn.Linear(4, 1)
        head = component.build_head(4, domains)  # type: ignore[arg-type]
        parameters = [*encoder.parameters(), *classifier.parameters(), *head.parameters()]
        optimiser = torch.optim.Adam(parameters, 0.01)
        for step in range(steps):
            at = torch.randint(300, (32,), generator=drawn)
            embedding = encoder(crops[at])
            logit = classifier(embedding).squeeze(1)
            loss = F.binary_cross_entropy_with_logits(logit, label[at].float())
            told = component.apply_head(head, embedding, logit, reversed_ * step / steps)
            optimiser.zero_grad()
            (loss + F.cross_entropy(told, domain[at])).backward()
            optimiser.step()
        embedding = encoder(crops).detach()
        probe = LogisticRegression().fit(embedding[:300], domain[:300])
        logit = classifier(embedding[300:]).detach()
        accuracy = probe.score(embedding[300:], domain[300:])
        found[reversed_] = (accuracy, roc_auc_score(label[300:], logit))
    assert found[False][0] > 0.9
    assert found[True][0] < 0.7
    assert min(area for _, area in found.values()) > 0.95


@pytest.mark.slow  # what it is made of: the test above, components/test_domain_adversarial.py
def test_where_stain_alone_tells_the_domain_the_embedding_forgets_it(
    cohort: tuple[FigureTable, pd.DataFrame], tmp_path: Path
) -> None:
    table, truth = cohort
    case = table.frame["case"].to_numpy(dtype=object)
    number = np.unique(case, return_inverse=True)[1]
    domain = (number % 2).astype(np.int64)
    tint = np.where(domain[:, None] == 1, [1.0, 0.6, 0.85], 1.0)
    held_out = np.flatnonzero(number >= number.max() - 5)
    label = truth["true_label"].to_numpy()[held_out]
    found = {}
    for weight in (0.0, 0.3):
        changes = [
            f"domain_adversarial.weight={weight}",
            # In 200 steps of 16 the two heads are still in pursuit: where they stop is chance.
            "schedule.min_steps=360",
            "schedule.batch_size=32",
            "soft_labels.method=fraction",
        ]
        recipe = read_recipe("plain", [*SMALL, *changes])
        figures = replace(
            training_figures(table, recipe.soft_labels), domain=domain, domains=["a", "b"]
        )
        member = _train(table, recipe, figures, held_out, tmp_path / str(weight), tint)
        assert member.probe is not None
        found[weight] = (member.probe.after, roc_auc_score(label, member.logit))
    told, told_after = found[0.0][0], found[0.3][0]
    assert told > 0.78
    assert told_after < 0.7
    assert told_after < told - 0.15
    assert found[0.3][1] > 0.75
    assert found[0.3][1] > found[0.0][1] - 0.12
