"""What a member keeps of itself is read back; damaged, it is named in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from atypia.errors import AtypiaError
from atypia.evaluation.probe import DomainProbe
from atypia.training.member import Member, read_identity, read_member, save_member


def _member(gammas: np.ndarray | None) -> Member:
    return Member(
        state={"head": torch.arange(3.0)},
        held_out=np.array([1, 3]),
        logit=np.array([0.5, -2.0], dtype=np.float32),
        phase=np.zeros((2, 0), dtype=np.float32),
        hardness=np.array([0.1, np.nan, 0.2, np.nan], dtype=np.float32),
        probe=DomainProbe(0.8, 0.6, 0.5),
        gammas=gammas,
        seconds=1.5,
    )


def test_a_member_is_read_back_with_all_that_it_learned_about_itself(tmp_path: Path) -> None:
    gammas = np.array([[1.0, 0.5, -0.3], [1.1, 0.4, -0.2]])
    save_member(tmp_path, "a", _member(gammas))
    again = read_member(tmp_path, "a")
    assert again is not None and again.gammas is not None
    np.testing.assert_array_equal(again.gammas, gammas)
    assert again.probe == DomainProbe(0.8, 0.6, 0.5)
    assert again.seconds == 1.5
    assert torch.equal(again.state["head"], torch.arange(3.0))
    assert read_identity(tmp_path) == "a"


def test_of_a_member_of_an_earlier_version_the_gammas_are_unknown(tmp_path: Path) -> None:
    save_member(tmp_path, "a", _member(np.ones((2, 5))))
    scores = load_file(tmp_path / "scores.safetensors")
    del scores["gammas"]
    save_file(scores, tmp_path / "scores.safetensors")
    again = read_member(tmp_path, "a")
    assert again is not None and again.gammas is None


@pytest.mark.parametrize("damage", ["missing", "cut", "without a tensor", "of another shape"])
def test_scores_of_a_member_that_are_damaged_are_named(tmp_path: Path, damage: str) -> None:
    save_file({"head": np.zeros(3)}, tmp_path / "member.safetensors", metadata={"identity": "a"})
    scores = {name: np.zeros(3) for name in ("held_out", "logit", "phase", "hardness")}
    scores["seconds"] = np.array(1.0) if damage != "of another shape" else np.zeros(2)
    if damage == "without a tensor":
        del scores["phase"]
    path = tmp_path / "scores.safetensors"
    if damage != "missing":
        save_file(scores, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(AtypiaError, match=r"scores\.safetensors: is damaged; delete"):
        read_member(tmp_path, "a")
