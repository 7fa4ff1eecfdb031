"""Distillation: what teachers say of a step's crops becomes part of its targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable
from atypia.errors import RecipeError
from atypia.models.classifier import Classifier
from atypia.training.batches import read_windows, training_batch, training_views
from atypia.training.components.distillation import Teacher, Teachers, turn
from atypia.training.crop_windows import View
from atypia.training.devices import open_fabric
from atypia.training.figures import UnlabelledFigures, training_figures
from atypia.training.recipe_file import read_recipe, to_toml
from atypia.training.stepper import MemberStepper
from small_training import small_recipe


class _Eye(torch.nn.Module):
    """A backbone that remembers what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        self.seen.append(crops)
        return crops.mean(dim=(2, 3))[:, :1]


class _Says(Classifier):
    """Says a logit, and remembers what it saw."""

    def __init__(self, logit: float) -> None:
        eye = _Eye()
        super().__init__(eye, 1, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), dropout=0.0)
        torch.nn.init.constant_(self.head.bias, logit)
        self.seen = eye.seen


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    return make_phantom(tmp_path_factory.mktemp("cohort"), figures=24, domains=2, size_px=96)


def _batch(table: FigureTable, teachers: list[Teacher], *changes: str):
    recipe = small_recipe("lite", *changes)
    fabric = open_fabric("cpu", recipe.schedule)
    figures = training_figures(table, recipe.soft_labels)
    stepper = MemberStepper(
        *(recipe, 0, fabric, read_windows(table, recipe), figures, np.ones(len(table)), None),
        teachers=Teachers(teachers, fabric) if teachers else None,
    )
    rows = np.arange(16)
    return stepper._batch(rows, 0, np.random.default_rng(3)), figures.target[rows]


def test_the_target_is_the_teachers_share_and_the_votes(table: FigureTable) -> None:
    view = View(16.0, 32)
    teachers = [Teacher(view, [_Says(1.0), _Says(3.0)]), Teacher(view, [_Says(-1.0)])]
    said = torch.sigmoid(torch.tensor((2.0 - 1.0) / 2))  # each teacher counts once
    batch, votes = _batch(table, teachers, "distillation.weight=0.7", "mixup.alpha=0")
    torch.testing.assert_close(batch.target, 0.7 * said + 0.3 * torch.from_numpy(votes))
    without, _ = _batch(table, [], "distillation.weight=0.7", "mixup.alpha=0")
    torch.testing.assert_close(without.target, torch.from_numpy(votes))


def test_teachers_see_the_students_crops_also_where_they_are_mixed(table: FigureTable) -> None:
    teacher = _Says(0.0)
    batch, _ = _batch(table, [Teacher(View(16.0, 32), [teacher])], "mixup.alpha=1")
    assert torch.equal(teacher.seen[0], batch.crops)
    alone, _ = _batch(table, [], "mixup.alpha=1")
    assert torch.equal(alone.crops, batch.crops)  # a teacher changes no draw


def test_teachers_may_see_the_crops_in_another_symmetry(table: FigureTable) -> None:
    views = [turn(torch.arange(8.0).view(1, 1, 2, 4)[..., :2], symmetry) for symmetry in range(8)]
    assert len({tuple(view.flatten().tolist()) for view in views}) == 8
    teacher, again = _Says(0.0), _Says(0.0)
    changes = ("distillation.turned=true", "mixup.alpha=0")
    batch, _ = _batch(table, [Teacher(View(16.0, 32), [teacher])], *changes)
    plain, _ = _batch(table, [], "mixup.alpha=0")
    assert torch.equal(batch.crops, plain.crops)  # the student sees what it would see
    (symmetry,) = [k for k in range(8) if torch.equal(teacher.seen[0], turn(batch.crops, k))]
    _batch(table, [Teacher(View(16.0, 32), [again])], *changes)
    assert torch.equal(again.seen[0], turn(batch.crops, symmetry))


def test_a_view_of_another_size_shows_the_same_tissue(table: FigureTable) -> None:
    recipe = small_recipe("lite", "augment.jpeg=0.5", "augment.blur=1", "augment.shift_um=2")
    windows, rows, device = read_windows(table, recipe), np.arange(12), torch.device("cpu")
    rng, plain = np.random.default_rng(1), np.random.default_rng(1)
    views = [View(16.0, 64), View(8.0, 32)]
    own, finer, tighter = training_views(windows, rows, recipe, device, rng, views)
    assert torch.equal(own, training_batch(windows, rows, recipe, device, plain))
    assert rng.bit_generator.state == plain.bit_generator.state
    halved = torch.nn.functional.avg_pool2d(finer, 2)
    assert (halved - own).abs().mean() < 0.01
    middle = finer[:, :, 16:48, 16:48]
    assert (tighter - middle).abs().mean() < 0.02
    assert (tighter - own).abs().mean() > 0.03


def test_one_teacher_is_written_as_it_is_and_a_frozen_backbone_has_none(tmp_path) -> None:
    recipe = read_recipe("lite", ["distillation.teachers=runs/a"])
    assert recipe.distillation.teachers == ("runs/a",)
    path = tmp_path / "recipe.toml"
    for teachers in ('["a b", "c\\"d"]', "[]"):
        recipe = read_recipe("lite", [f"distillation.teachers={teachers}"])
        path.write_text(to_toml(recipe))
        assert read_recipe(path) == recipe
    with pytest.raises(RecipeError, match="embedded once, and teachers score"):
        read_recipe("lite", ["distillation.teachers=a", "adapter.kind=linear"])


def test_unlabelled_figures_are_labelled_by_teachers_alone_and_come_first(
    table: FigureTable,
) -> None:
    recipe = small_recipe("lite", "mixup.alpha=0", "distillation.unlabelled_share=0.25")
    fabric = open_fabric("cpu", recipe.schedule)
    figures = training_figures(table, recipe.soft_labels)
    windows, teacher = read_windows(table, recipe), _Says(2.0)
    stepper = MemberStepper(
        *(recipe, 0, fabric, windows, figures, np.ones(len(table))),
        UnlabelledFigures(windows, np.zeros(len(table), dtype=np.int64)),
        teachers=Teachers([Teacher(View(16.0, 32), [teacher])], fabric),
    )
    rows = np.arange(16)
    batch = stepper._batch(rows, 0, np.random.default_rng(3))
    said = torch.sigmoid(torch.tensor(2.0))
    assert batch.crops.shape[0] == len(teacher.seen[0]) == 20
    torch.testing.assert_close(batch.target[:4], said.expand(4))
    votes = torch.from_numpy(figures.target[rows])
    torch.testing.assert_close(batch.target[4:], 0.5 * said + 0.5 * votes)
    torch.testing.assert_close(batch.weight[:4], torch.ones(4))
    assert not batch.phase[:4].any()
    labelled, _ = _batch(table, [], "mixup.alpha=0")
    assert torch.equal(batch.crops[4:], labelled.crops)
    pieces = list(batch.pieces(2))
    assert [len(piece.crops) for piece in pieces] == [10, 10]
    for first, piece in enumerate(pieces):
        assert list(piece.rows) == list(rows[first::2])
        assert torch.equal(piece.crops[2:], batch.crops[4:][first::2])
        assert torch.equal(piece.target[:2], batch.target[:4][first::2])
    assert np.isfinite(stepper.step(rows, 0, 10)["loss"])
