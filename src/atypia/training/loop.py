"""The training loop of one member.

Every random draw of a step comes from (seed, member, step) alone, so a training that was killed
and started again repeats the steps after its last checkpoint to the bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from sklearn.metrics import roc_auc_score
from timm.utils.model_ema import ModelEmaV3
from torch import nn

from atypia.data.crops import Windows
from atypia.files import written_whole
from atypia.models.classifier import Classifier, build_classifier
from atypia.models.cpu import depthwise_in_float32, keep_freed_memory
from atypia.training.batches import augmented_crops, plain_crops
from atypia.training.checkpoint import load_checkpoint, refuse_another, save_checkpoint
from atypia.training.figures import TrainingFigures
from atypia.training.journal import Journal
from atypia.training.losses.focal import focal_loss
from atypia.training.mixup import mixup
from atypia.training.recipe import Recipe
from atypia.training.sampling import draw_epoch, figure_weights

Rows = npt.NDArray[np.int64]
CHECKPOINT_SECONDS = 60.0
# Scoring the held-out figures is for the curve alone and costs time.
HELD_OUT_CURVE_POINTS = 6
# As large as a usual step, so that scoring needs no more memory than training.
SCORE_BATCH = 64


@dataclass(frozen=True)
class Progress:
    """Where a training stands: `step` of `steps` are done, the last one's loss was `loss`."""

    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class Member:
    """A trained member.

    Attributes:
        state: the tensors that a bundle keeps (averaged over training where `ema` is on).
        held_out: rows of the figures that it has not seen.
        logit: float32 (len(held_out),), uncalibrated.
        seconds: spent on training it, over all starts.
    """

    state: dict[str, torch.Tensor]
    held_out: Rows
    logit: npt.NDArray[np.float32]
    seconds: float


def train_member(
    recipe: Recipe,
    windows: Windows,
    figures: TrainingFigures,
    held_out: Rows,
    folder: Path,
    *,
    member: int,
    identity: str,
    fabric: Fabric,
    on_progress: Callable[[Progress], None],
) -> Member:
    """Train one member on all figures but the held-out ones, and score these.

    The held-out figures decide nothing: the weights after the last step are kept. A training that
    was stopped goes on from its last checkpoint; one that is done is read back.

    Args:
        recipe: what decides the training.
        windows: of N figures.
        figures: the same N figures.
        held_out: rows that are not trained on.
        folder: of this member: checkpoint, metrics, weights, scores.
        member: its number, part of every draw.
        identity: a text that changes with the recipe or the figures.
        fabric: device and precision, launched.
        on_progress: called after every step.
    """
    done = _read_back(folder, identity)
    if done is not None:
        return done
    rows = np.setdiff1d(np.arange(len(windows)), held_out)
    weights = figure_weights(
        figures.domain[rows],
        figures.atypical[rows],
        class_balance=recipe.sampling.class_balance,
        domain_balance=recipe.sampling.domain_balance,
    )
    batch_size = recipe.schedule.batch_size
    steps_per_epoch = math.ceil(len(rows) / batch_size)
    epochs = max(recipe.schedule.epochs, math.ceil(recipe.schedule.least_steps / steps_per_epoch))
    steps = steps_per_epoch * epochs

    held_out_every = math.ceil(epochs / HELD_OUT_CURVE_POINTS)
    trainee = _Trainee(recipe, member, fabric)
    checkpoint = folder / "checkpoint.pt"
    found = load_checkpoint(checkpoint, identity)
    first, seconds, losses = 0, 0.0, []
    if found is not None:
        trainee.load_state(found["trainee"])
        first, seconds, losses = found["step"], found["seconds"], found["losses"]
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder, first)
    clock = time.monotonic()
    saved_at = clock
    for step in range(first, steps):
        epoch, position = divmod(step, steps_per_epoch)
        if position == 0 or step == first:
            rng = np.random.default_rng(_seed(recipe, member, 1, epoch))
            drawn = rows[draw_epoch(weights, steps_per_epoch * batch_size, rng)]
        batch = drawn[position * batch_size : (position + 1) * batch_size]
        losses.append(trainee.step(windows, figures, batch, step, steps))
        last = position == steps_per_epoch - 1
        if last:
            values = {"epoch": epoch + 1, "loss": float(np.mean(losses)), **trainee.rates()}
            if (epoch + 1) % held_out_every == 0:
                logit = score(trainee.averaged, windows, held_out, recipe, fabric)
                values |= _auroc(figures.truth[held_out], logit)
            journal.write(step + 1, values)
            losses = []
        if last or time.monotonic() - saved_at > CHECKPOINT_SECONDS:
            state = {
                "identity": identity,
                "step": step + 1,
                "seconds": seconds + time.monotonic() - clock,
                "losses": losses,
                "trainee": trainee.state(),
            }
            save_checkpoint(checkpoint, state)
            saved_at = time.monotonic()
        on_progress(Progress(step + 1, steps, losses[-1] if losses else values["loss"]))
    journal.close()
    result = Member(
        state=trainee.averaged.saved_state(),
        held_out=held_out,
        logit=score(trainee.averaged, windows, held_out, recipe, fabric),
        seconds=seconds + time.monotonic() - clock,
    )
    _keep(folder, identity, result)
    checkpoint.unlink(missing_ok=True)
    return result


class _Trainee:
    """What changes while a member is trained: network, optimiser, averaged weights."""

    def __init__(self, recipe: Recipe, member: int, fabric: Fabric) -> None:
        self._recipe, self._member, self._fabric = recipe, member, fabric
        torch.manual_seed(_seed(recipe, member, 0))
        network = build_classifier(
            recipe.backbone.key,
            recipe.adapter,
            dropout=recipe.head.dropout,
            pretrained=recipe.backbone.pretrained,
        ).to(memory_format=torch.channels_last)
        if fabric.device.type == "cpu":
            keep_freed_memory()
            depthwise_in_float32(network)
        self._network, self._optimizer = fabric.setup(network, _optimizer(network, recipe))
        self._ema = ModelEmaV3(self._network.module, decay=recipe.ema.decay, use_warmup=True)

    @property
    def averaged(self) -> Classifier:
        """The network to keep: averaged over training where `ema` is on."""
        module = self._ema.module if self._recipe.ema.decay else self._network.module
        assert isinstance(module, Classifier)
        return module

    def step(
        self, windows: Windows, figures: TrainingFigures, rows: Rows, step: int, steps: int
    ) -> float:
        """Take one step on some figures; return the loss."""
        recipe, fabric = self._recipe, self._fabric
        seed = _seed(recipe, self._member, 2, step)
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)  # dropout draws from the global generator
        crops = augmented_crops(windows.batch(rows), recipe, fabric.device, rng)
        target = torch.from_numpy(figures.target[rows]).to(fabric.device)
        crops, target = mixup(crops, target, recipe.mixup.alpha, rng)

        self._network.train()
        output = self._network(crops.contiguous(memory_format=torch.channels_last))
        loss = focal_loss(output.logit, target, recipe.focal.gamma).mean()
        fabric.backward(loss)
        fabric.clip_gradients(self._network, self._optimizer, max_norm=recipe.schedule.clip)
        _set_rates(self._optimizer, recipe, step, steps)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._ema.update(self._network.module, step)
        return float(loss.detach())

    def rates(self) -> dict[str, float]:
        """Return the learning rate of the first group of parameters."""
        return {"learning_rate": float(self._optimizer.param_groups[0]["lr"])}

    def state(self) -> dict[str, Any]:
        """Return all of it, for a checkpoint."""
        return {
            "network": self._network.module.state_dict(),
            "ema": self._ema.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Load what `state` gave."""
        self._network.module.load_state_dict(state["network"])
        self._ema.module.load_state_dict(state["ema"])
        self._optimizer.load_state_dict(state["optimizer"])


@torch.no_grad()
def score(
    network: nn.Module, windows: Windows, rows: Rows, recipe: Recipe, fabric: Fabric
) -> npt.NDArray[np.float32]:
    """Return the logits of some figures, float32 (len(rows),), computed in float32."""
    network.eval()
    logits: list[torch.Tensor] = []
    for start in range(0, len(rows), SCORE_BATCH):
        batch = windows.batch(rows[start : start + SCORE_BATCH])
        crops = plain_crops(batch, recipe, fabric.device)
        logits.append(network(crops).logit.cpu())
    return torch.cat(logits).numpy() if logits else np.empty(0, dtype=np.float32)


def _optimizer(network: Classifier, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; no decay on biases and norms; the new head learns faster than the backbone."""
    schedule = recipe.schedule
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            head = not name.startswith("backbone.")
            rate = schedule.head_learning_rate if head else schedule.learning_rate
            decay = schedule.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": rate, "peak": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ],
        fused=False,
    )


def _set_rates(optimizer: torch.optim.Optimizer, recipe: Recipe, step: int, steps: int) -> None:
    """Linear warm-up, then a cosine to zero (Loshchilov and Hutter 2017, eq. 5)."""
    warm = max(1, round(recipe.schedule.warmup * steps))
    factor = min(
        (step + 1) / warm,
        0.5 * (1 + math.cos(math.pi * max(0, step - warm) / max(1, steps - warm))),
    )
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def _seed(recipe: Recipe, *parts: int) -> int:
    return int(np.random.SeedSequence((recipe.seed, *parts)).generate_state(1)[0])


def _auroc(truth: npt.NDArray[np.float64], logit: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return the held-out AUROC, or nothing where one class is absent."""
    known = ~np.isnan(truth)
    if len(np.unique(truth[known])) < 2:
        return {}
    return {"held_out_auroc": float(roc_auc_score(truth[known], logit[known]))}


def _keep(folder: Path, identity: str, member: Member) -> None:
    held_out, logit = torch.from_numpy(member.held_out), torch.from_numpy(member.logit)
    seconds = torch.tensor(member.seconds, dtype=torch.float64)
    scores = {"held_out": held_out, "logit": logit, "seconds": seconds}
    with written_whole(folder / "scores.safetensors") as partial:
        partial.write_bytes(serialized(scores))
    with written_whole(folder / "member.safetensors") as partial:
        partial.write_bytes(serialized(member.state, metadata={"identity": identity}))


def _read_back(folder: Path, identity: str) -> Member | None:
    weights = folder / "member.safetensors"
    if not weights.is_file():
        return None
    with safe_open(weights, framework="pt") as file:
        refuse_another(weights, file.metadata()["identity"], identity)
    kept = load_file(folder / "scores.safetensors")
    return Member(
        state=load_file(weights),
        held_out=kept["held_out"].numpy(),
        logit=kept["logit"].numpy(),
        seconds=float(kept["seconds"]),
    )
