"""A run's folder: every member has a place of its own, and nothing of a user's is lost in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from atypia.errors import AtypiaError
from atypia.training.recipe_file import read_recipe
from atypia.workflows.training.folder import RunFolder
from atypia.workflows.training.plan import MemberSpec


def test_a_member_lies_below_its_scheme_and_no_two_share_a_place(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    specs = [
        MemberSpec(scheme, part, turn, 0, "")
        for scheme in ("folds", "left_out")
        for part in range(3)
        for turn in range(2)
    ]
    places = {folder.member(spec) for spec in specs}
    assert len(places) == len(specs)
    assert folder.member(specs[0]) == tmp_path / "folds" / "0"
    assert folder.member(specs[1]) == tmp_path / "folds" / "0-2"  # as earlier versions had it


@pytest.mark.parametrize("name", ["folds", "left_out", "windows", "embeddings"])
def test_a_folder_that_somebody_else_filled_is_refused_unless_asked(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    folder = RunFolder(tmp_path)
    with pytest.raises(AtypiaError, match=rf"{name}: does not belong to a training"):
        folder.require_place()
    folder.require_place(overwrite=True)
    folder.note_start(read_recipe("lite"))
    folder.require_place()


def test_every_result_is_protected(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for path in folder.results:
        path.write_text("mine")
        with pytest.raises(AtypiaError, match=rf"{path.name}: was not written by atypia"):
            folder.require_place()
        path.unlink()
    folder.require_place()


def test_a_recipe_is_kept_and_another_one_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.save_recipe(read_recipe("lite", ["seed=3"]))
    assert read_recipe(folder.recipe).seed == 3
    with pytest.raises(AtypiaError, match=r"another recipe \(seed is 3 there, 4 here\)"):
        folder.save_recipe(read_recipe("lite", ["seed=4"]))
    folder.save_recipe(read_recipe("lite", ["seed=3", "card.licence=Ours."]))
    assert read_recipe(folder.recipe).card.licence == "Ours."
