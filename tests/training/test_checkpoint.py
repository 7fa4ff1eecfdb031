"""What a training kept of itself: damaged or of another kind, it is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from atypia.errors import AtypiaError
from atypia.training.checkpoint import load_checkpoint, save_checkpoint


@pytest.mark.parametrize("state", [{}, {"step": 1}, [1], 3, torch.zeros(2)])
def test_a_checkpoint_of_nobody_is_named(tmp_path: Path, state: object) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, state)  # type: ignore[arg-type]
    with pytest.raises(AtypiaError, match=r"checkpoint\.pt: cannot be read as a checkpoint"):
        load_checkpoint(path, "0" * 64)


@pytest.mark.parametrize("identity", ["[" * 100_000, "9" * 5000])
def test_a_checkpoint_of_an_identity_that_is_no_json_is_another_versions(
    tmp_path: Path, identity: str
) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"identity": identity})
    with pytest.raises(AtypiaError, match=r"checkpoint\.pt: was made from .*another version"):
        load_checkpoint(path, "0" * 64)
