"""Checkpoints: written whole, read without executing anything, refused where they do not fit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from atypia.errors import AtypiaError
from atypia.files import write_whole
from atypia.fingerprint import require_same


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values; a kill leaves the old checkpoint or the new one."""
    # Through memory: torch tells of a full disk in its own words, Python in those of the system.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with write_whole(path) as partial:
        partial.write_bytes(buffer.getbuffer())


def load_checkpoint(path: Path, identity: str) -> dict[str, Any] | None:
    """Read a checkpoint of this training, or return None where there is none.

    Args:
        path: the file.
        identity: what the training is of; a checkpoint of another one is refused.

    Raises:
        AtypiaError: the file is damaged, or belongs to another recipe or other figures.
    """
    state = read_checkpoint(path)
    if state is not None:
        require_same(path, state["identity"], identity)
    return state


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint of whatever training, or return None where there is none.

    Args:
        path: the file.

    Raises:
        AtypiaError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state | {"identity": str(state["identity"])}
    except Exception as fault:  # torch raises many kinds for a damaged file
        raise AtypiaError(
            f"{path}: cannot be read as a checkpoint; delete it to train this fold again"
        ) from fault
