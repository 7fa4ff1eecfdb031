"""What a training kept of itself: damaged or of another kind, it is named in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from atypia.errors import AtypiaError
from atypia.training.checkpoint import load_checkpoint, save_checkpoint
from atypia.training.loop import _read_back


@pytest.mark.parametrize("state", [{}, {"step": 1}, [1], 3, torch.zeros(2)])
def test_a_checkpoint_of_nobody_is_named(tmp_path: Path, state: object) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, state)  # type: ignore[arg-type]
    with pytest.raises(AtypiaError, match=r"checkpoint\.pt: cannot be read as a checkpoint"):
        load_checkpoint(path, "0" * 64)


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
    with pytest.raises(AtypiaError, match=r"scores\.safetensors: does not hold .* delete"):
        _read_back(tmp_path, "a")
