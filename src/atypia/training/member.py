"""A trained member: weights, held-out scores, records of its training, and its files."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialized

from atypia.errors import AtypiaError
from atypia.evaluation.probe import DomainProbe
from atypia.files import write_whole
from atypia.fingerprint import require_same

CHECKPOINT = "checkpoint.pt"
"""File of a member in training; it is removed when the member is finished."""
_WEIGHTS, _SCORES = "member.safetensors", "scores.safetensors"


@dataclass(frozen=True)
class Member:
    """A trained member.

    Attributes:
        state: the tensors that a bundle keeps (averaged over training where `ema` is on).
        held_out: rows of the figures that it was not trained on.
        logit: float32 (len(held_out),), uncalibrated.
        phase: float32 (len(held_out), phases), logits; no columns without a phase head.
        hardness: float32 (N,), moving average of P(atypical) of each normal figure it was
            trained on, NaN elsewhere; all NaN where hard negatives are off.
        probe: linear-probe accuracy for domain; None where there are fewer than two domains.
        gammas: float64 (epochs, bins), the gamma of each confidence bin after each epoch, least
            confident first; no rows where it is not adaptive, None where an earlier version, which
            did not record them, trained (part of) this member.
        seconds: of training, over all starts.
    """

    state: dict[str, torch.Tensor]
    held_out: npt.NDArray[np.int64]
    logit: npt.NDArray[np.float32]
    phase: npt.NDArray[np.float32]
    hardness: npt.NDArray[np.float32]
    probe: DomainProbe | None
    gammas: npt.NDArray[np.float64] | None
    seconds: float


def weights_file(folder: Path) -> Path:
    """Return the file of the weights of a finished member, in its folder."""
    return folder / _WEIGHTS


def save_member(folder: Path, identity: str, member: Member) -> None:
    """Write a member into its folder.

    Args:
        folder: of the member.
        identity: fingerprint of all that decides its weights.
        member: to write.
    """
    scores = {
        "held_out": torch.from_numpy(member.held_out),
        "logit": torch.from_numpy(member.logit),
        "phase": torch.from_numpy(member.phase),
        "seconds": torch.tensor(member.seconds, dtype=torch.float64),
        "hardness": torch.from_numpy(member.hardness),
    }
    if member.probe is not None:
        scores["probe"] = torch.tensor(astuple(member.probe), dtype=torch.float64)
    if member.gammas is not None:
        scores["gammas"] = torch.from_numpy(member.gammas)
    with write_whole(folder / _SCORES) as partial:
        partial.write_bytes(serialized(scores))
    _write_weights(folder, identity, member.state)


def replace_identity(folder: Path, identity: str) -> None:
    """Replace the fingerprint of a finished member; its weights stay as they are.

    Args:
        folder: of the member.
        identity: fingerprint of all that decides its weights, as this version makes it.
    """
    _write_weights(folder, identity, load_file(folder / _WEIGHTS))


def read_identity(folder: Path) -> str | None:
    """Return the fingerprint of a finished member; None where there is none.

    Raises:
        AtypiaError: the member's file is damaged.
    """
    weights = folder / _WEIGHTS
    if not weights.is_file():
        return None
    try:
        with safe_open(weights, framework="pt") as file:
            return str(file.metadata()["identity"])
    except (SafetensorError, OSError, KeyError, TypeError) as fault:
        raise AtypiaError(
            f"{weights}: is damaged; delete the folder {folder} to train this member again"
        ) from fault


def read_member(folder: Path, identity: str) -> Member | None:
    """Read a finished member; None where there is none.

    Args:
        folder: of the member.
        identity: fingerprint that it must have.

    Raises:
        AtypiaError: it has another fingerprint, or its files are damaged.
    """
    own_identity = read_identity(folder)
    if own_identity is None:
        return None
    weights, scores = folder / _WEIGHTS, folder / _SCORES
    require_same(weights, own_identity, identity)
    try:
        tensors = load_file(scores)
        return Member(
            state=load_file(weights),
            held_out=tensors["held_out"].numpy(),
            logit=tensors["logit"].numpy(),
            phase=tensors["phase"].numpy(),
            hardness=tensors["hardness"].numpy(),
            probe=DomainProbe(*tensors["probe"].tolist()) if "probe" in tensors else None,
            gammas=tensors["gammas"].numpy() if "gammas" in tensors else None,
            seconds=float(tensors["seconds"]),
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as fault:
        raise AtypiaError(
            f"{scores}: is damaged; delete the folder {folder} to train this member again"
        ) from fault


def _write_weights(folder: Path, identity: str, state: dict[str, torch.Tensor]) -> None:
    with write_whole(folder / _WEIGHTS) as partial:
        partial.write_bytes(serialized(state, metadata={"identity": identity}))
