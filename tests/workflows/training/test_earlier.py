"""A run that the release before began goes on: nothing is trained anew, nothing is lost."""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file

from atypia.data.phantom import make_phantom
from atypia.data.splits import slide_folds
from atypia.data.table import FigureTable, read_table
from atypia.errors import AtypiaError
from atypia.training.recipe_file import read_recipe
from atypia.workflows.train import train
from atypia.workflows.training.publish import TrainingRun

#: Written by commit df4fd96: the recipe of a run, and the same settings as its identity held them.
RECIPE = Path(__file__).with_name("earlier") / "recipe.toml"
SETTINGS = Path(__file__).with_name("earlier") / "settings.json"


class StopError(Exception):
    """Stands for a kill."""


class Run:
    """A training, and what was heard of it."""

    def __init__(self, table: FigureTable, out: Path, stop: tuple[str, int] | None = None) -> None:
        self.notes: list[str] = []
        self.trained: set[str] = set()

        def watch(task: str, done: int, of: int, note: str) -> None:
            if task.startswith("training"):
                self.trained.add(task)
            if (task, done) == stop:
                raise StopError

        logger, handler = logging.getLogger("atypia"), logging.Handler()
        handler.emit = lambda record: self.notes.append(record.getMessage())  # type: ignore[method-assign]
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            self.result: TrainingRun = train(
                table, read_recipe(RECIPE), out, threads=1, on_progress=watch
            )
        finally:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_phantom(folder, figures=60, domains=2, slides_per_domain=4, size_px=96, seed=0)
    return folder


@pytest.fixture(scope="module")
def undisturbed(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    Run(read_table(cohort / "figures.csv"), out)
    return out


def _age(out: Path, table: FigureTable) -> None:
    """Make a run's folder one of commit df4fd96: its identities, no gammas, no notes, no hashes."""
    text = SETTINGS.read_text() + table.frame.to_csv(index=False)
    folds = slide_folds(table.frame, 2, 0)
    identity = hashlib.sha256(text.encode() + folds.tobytes()).hexdigest()
    for weights in out.glob("folds/*/member.safetensors"):
        save_file(load_file(weights), weights, metadata={"identity": identity})
    for scores in out.glob("folds/*/scores.safetensors"):
        kept = load_file(scores)
        del kept["gammas"]
        save_file(kept, scores)
    for checkpoint in out.glob("folds/*/checkpoint.pt"):
        state = torch.load(checkpoint, weights_only=True)
        del state["work"]["gammas"]
        torch.save(state | {"identity": identity}, checkpoint)
    for notes in list(out.rglob(".atypia")):
        shutil.rmtree(notes)
    (out / "windows" / "images.json").unlink()
    shutil.copy(RECIPE, out / "recipe.toml")


def _weights(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(out.glob("bundle/members/*"))]


def test_a_finished_run_is_read_back_and_what_it_wrote_is_kept_beside(
    cohort: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, table = tmp_path / "run", read_table(cohort / "figures.csv")
    shutil.copytree(undisturbed, out)
    _age(out, table)
    (out / "out_of_fold.csv").write_text("with a remark of mine")
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    card = (out / "bundle" / "card.md").read_bytes()
    again = Run(table, out)
    assert not again.trained
    assert _weights(out) == _weights(undisturbed)
    (note,) = [note for note in again.notes if "earlier version" in note]
    assert "could not be checked" in note and str(out / "earlier") in note
    del before["recipe.toml"]
    kept = {path.name: path.read_bytes() for path in (out / "earlier").iterdir() if path.is_file()}
    assert kept == before
    assert (out / "earlier" / "bundle" / "card.md").read_bytes() == card
    assert (out / "recipe.toml").read_bytes() == RECIPE.read_bytes()
    story = again.result.story
    assert (story.gammas, story.unknown_gammas) == ((), ("fold 1 of 2", "fold 2 of 2"))


def test_it_is_then_a_run_of_this_version(cohort: Path, undisturbed: Path, tmp_path: Path) -> None:
    out, root = tmp_path / "run", tmp_path / "figures"
    shutil.copytree(cohort, root)
    shutil.copytree(undisturbed, out)
    table = read_table(root / "figures.csv")
    _age(out, table)
    Run(table, out)
    again = Run(table, out)
    assert not again.trained
    assert not any("earlier version" in note for note in again.notes)
    assert not (out / "earlier-2").exists()
    path = table.image_paths()[0]
    with Image.open(path) as image:
        inverted = ImageOps.invert(image)
    inverted.save(path)
    with pytest.raises(AtypiaError, match="1 images have changed since members were trained"):
        Run(table, out)


@pytest.mark.parametrize("stop", [("training fold 1 of 2", 3), ("training fold 2 of 2", 3)])
def test_a_stopped_run_goes_on_from_its_members_and_checkpoint(
    cohort: Path, undisturbed: Path, tmp_path: Path, stop: tuple[str, int]
) -> None:
    table = read_table(cohort / "figures.csv")
    with pytest.raises(StopError):
        Run(table, tmp_path, stop)
    _age(tmp_path, table)
    member, _ = stop
    again = Run(table, tmp_path)
    assert again.trained == {member, "training fold 2 of 2"}
    assert _weights(tmp_path) == _weights(undisturbed)
    assert len([note for note in again.notes if "earlier version" in note]) == 1
    assert not (tmp_path / "earlier").exists()
    unknown = ("fold 1 of 2", "fold 2 of 2") if member.endswith("2 of 2") else ("fold 1 of 2",)
    assert again.result.story.unknown_gammas == unknown


def test_a_kill_while_the_folder_is_taken_over_loses_nothing(
    cohort: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from atypia.workflows.training import earlier

    out, table = tmp_path / "run", read_table(cohort / "figures.csv")
    shutil.copytree(undisturbed, out)
    _age(out, table)
    renamed: list[Path] = []
    rename = earlier.replace_identity

    def once(place: Path, identity: str) -> None:
        if renamed:
            raise StopError
        renamed.append(place)
        rename(place, identity)

    monkeypatch.setattr(earlier, "replace_identity", once)
    with pytest.raises(StopError):
        Run(table, out)
    monkeypatch.undo()
    assert not Run(table, out).trained
    assert (out / "earlier" / "metrics.json").is_file()


@pytest.mark.parametrize("change", ["other figures", "a recipe that was changed by hand"])
def test_what_is_not_this_training_stays_as_it_is_and_is_refused(
    cohort: Path, undisturbed: Path, tmp_path: Path, change: str
) -> None:
    out, table = tmp_path / "run", read_table(cohort / "figures.csv")
    shutil.copytree(undisturbed, out)
    _age(out, table)
    if change == "other figures":
        table = FigureTable(table.frame.iloc[1:].reset_index(drop=True), table.root)
    else:
        text = (out / "recipe.toml").read_text().replace("epochs = 2 ", "epochs = 3 ")
        (out / "recipe.toml").write_text(text)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(AtypiaError, match="was not written by atypia"):
        Run(table, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
