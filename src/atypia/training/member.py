"""A trained member: what it learned, also about itself, and how its folder keeps it."""

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
"""Of a member in training; it goes when the member is done."""
_WEIGHTS, _SCORES = "member.safetensors", "scores.safetensors"


@dataclass(frozen=True)
class Member:
    """A trained member.

    Attributes:
        state: the tensors that a bundle keeps (averaged over training where `ema` is on).
        held_out: rows of the figures that it has not seen.
        logit: float32 (len(held_out),), uncalibrated.
        phase: float32 (len(held_out), phases), logits; no columns without a phase head.
        hardness: float32 (N,), moving average of P(atypical) of each normal figure it was
            trained on, NaN elsewhere; all NaN where hard negatives are off.
        probe: None where there are fewer than two domains to tell.
        gammas: float64 (epochs, bins), the gamma of each confidence bin after each epoch, least
            confident first; no rows where it is not adaptive, None where an earlier version, which
            did not keep them, has trained (part of) this member.
        seconds: spent on training it, over all starts.
    """

    state: dict[str, torch.Tensor]
    held_out: npt.NDArray[np.int64]
    logit: npt.NDArray[np.float32]
    phase: npt.NDArray[np.float32]
    hardness: npt.NDArray[np.float32]
    probe: DomainProbe | None
    gammas: npt.NDArray[np.float64] | None
    seconds: float


def keep_member(folder: Path, identity: str, member: Member) -> None:
    """Write a member into its folder.

    Args:
        folder: of the member.
        identity: fingerprint of all that decides its weights.
        member: to be kept.
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


def rename_identity(folder: Path, identity: str) -> None:
    """Give a member that is done another fingerprint; its weights stay as they are.

    Args:
        folder: of the member.
        identity: fingerprint of all that decides its weights, as this version makes it.
    """
    _write_weights(folder, identity, load_file(folder / _WEIGHTS))


def kept_identity(folder: Path) -> str | None:
    """Return the fingerprint of a member that is done; None where there is none.

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
            f"{weights}: cannot be read as a member; delete the folder {folder} to train it again"
        ) from fault


def read_member(folder: Path, identity: str) -> Member | None:
    """Read a member that is done; None where there is none.

    Args:
        folder: of the member.
        identity: what it must have been made from.

    Raises:
        AtypiaError: it was made from something else, or its files are damaged.
    """
    found = kept_identity(folder)
    if found is None:
        return None
    weights, scores = folder / _WEIGHTS, folder / _SCORES
    require_same(weights, found, identity)
    try:
        kept = load_file(scores)
        return Member(
            state=load_file(weights),
            held_out=kept["held_out"].numpy(),
            logit=kept["logit"].numpy(),
            phase=kept["phase"].numpy(),
            hardness=kept["hardness"].numpy(),
            probe=DomainProbe(*kept["probe"].tolist()) if "probe" in kept else None,
            gammas=kept["gammas"].numpy() if "gammas" in kept else None,
            seconds=float(kept["seconds"]),
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as fault:
        raise AtypiaError(
            f"{scores}: does not hold what a member keeps; delete the folder {folder} to train it "
            "again"
        ) from fault


def _write_weights(folder: Path, identity: str, state: dict[str, torch.Tensor]) -> None:
    with write_whole(folder / _WEIGHTS) as partial:
        partial.write_bytes(serialized(state, metadata={"identity": identity}))
