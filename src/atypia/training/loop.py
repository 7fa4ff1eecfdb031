"""The training loop of one member.

Every random draw of a step comes from (seed, member, step) alone, so a training that was killed
and started again repeats the steps after its last checkpoint to the bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from atypia.data.windows import Windows
from atypia.errors import AtypiaError
from atypia.evaluation.probe import domain_probe
from atypia.files import written_whole
from atypia.fingerprint import require_same
from atypia.training.batches import Embeddings
from atypia.training.checkpoint import load_checkpoint, save_checkpoint
from atypia.training.figures import TrainingFigures, UnlabelledFigures, fitted
from atypia.training.journal import Journal
from atypia.training.mining import HardNegatives
from atypia.training.recipe import Recipe, ScheduleSection
from atypia.training.requirements import require_components_work, set_aside
from atypia.training.sampling import draw_epoch, figure_weights, in_mixture
from atypia.training.scoring import look_at
from atypia.training.trainee import Trainee, seed_of

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
CHECKPOINT_SECONDS = 60.0
# Scoring the held-out figures is for the curve alone and costs time.
HELD_OUT_CURVE_POINTS = 6
# Enough for a linear probe to tell six domains, and a second's work.
PROBE_FIGURES = 400


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        step: so many are done.
        steps: of so many.
        loss: of the last step.
        gamma: of each confidence bin, least confident first; empty unless it is adaptive.
    """

    step: int
    steps: int
    loss: float
    gamma: tuple[float, ...]


@dataclass(frozen=True)
class DomainProbe:
    """How well a linear probe tells the domains of training figures from the embedding.

    Attributes:
        before: balanced accuracy, in [0, 1], with the network as published.
        after: with the trained one.
        chance: of guessing.
    """

    before: float
    after: float
    chance: float


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
        seconds: spent on training it, over all starts.
    """

    state: dict[str, torch.Tensor]
    held_out: Rows
    logit: npt.NDArray[np.float32]
    phase: npt.NDArray[np.float32]
    hardness: npt.NDArray[np.float32]
    probe: DomainProbe | None
    seconds: float


def train_member(
    recipe: Recipe,
    shown: Windows | Embeddings,
    figures: TrainingFigures,
    held_out: Rows,
    folder: Path,
    *,
    member: int,
    identity: str,
    fabric: Fabric,
    on_progress: Callable[[Progress], None],
    unlabelled: UnlabelledFigures | None = None,
    weights: Path | None = None,
    curve: bool = True,
) -> Member:
    """Train one member on all figures but the held-out ones, and score these.

    The held-out figures decide nothing: the weights after the last step are kept. A training that
    was stopped goes on from its last checkpoint; one that is done is read back.

    Args:
        recipe: what decides the training.
        shown: windows of N figures, or embeddings where the backbone is not trained.
        figures: the same N figures.
        held_out: rows that are not trained on.
        folder: of this member: checkpoint, metrics, weights, scores.
        member: its number, part of every draw.
        identity: fingerprint of all that decides the weights.
        fabric: device and precision, launched.
        on_progress: called after every step.
        unlabelled: figures of a laboratory to adapt to, for the domain loss alone.
        weights: file of the backbone's published weights, where they are a file.
        curve: record the AUROC of the held-out figures as training goes on, which takes time and
            changes nothing.

    Raises:
        RecipeError: a component has nothing to work on in these figures.
    """
    done = _read_back(folder, identity)
    if done is not None:
        return done
    rows = np.setdiff1d(np.arange(len(shown)), held_out)
    there = None if unlabelled is None else unlabelled.domain
    require_components_work(recipe, figures, rows, there)
    figures = fitted(figures, rows, recipe.soft_labels)
    rows, aside = set_aside(recipe, figures, rows)
    work = _Work(recipe, shown, figures, rows, aside, held_out, member, fabric, unlabelled, weights)
    batch_size = recipe.schedule.batch_size
    steps_per_epoch = math.ceil(len(rows) / batch_size)
    epochs = epochs_for(recipe.schedule, len(rows))
    steps = steps_per_epoch * epochs

    held_out_every = math.ceil(epochs / HELD_OUT_CURVE_POINTS)
    checkpoint = folder / "checkpoint.pt"
    first, seconds, losses = _resumed(work, checkpoint, identity)
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder, first, silent=not fabric.is_global_zero)
    clock = time.monotonic()
    saved_at = clock
    for step in range(first, steps):
        epoch, position = divmod(step, steps_per_epoch)
        if position == 0 or step == first:
            rng = np.random.default_rng(seed_of(recipe, member, 1, epoch))
            drawn = draw_epoch(work.weights(), steps_per_epoch * batch_size, rng)
        batch = drawn[position * batch_size : (position + 1) * batch_size]
        losses.append(work.trainee.step(batch, step, steps))
        last = position == steps_per_epoch - 1
        loss = losses[-1]["loss"]
        if last:
            renewed = work.end_epoch(curve=curve and (epoch + 1) % held_out_every == 0)
            journal.write(step + 1, {"epoch": epoch + 1, **_means(losses), **renewed})
            losses = []
        if last or time.monotonic() - saved_at > CHECKPOINT_SECONDS:
            took = seconds + time.monotonic() - clock
            place = {"identity": identity, "step": step + 1, "seconds": took, "losses": losses}
            if fabric.is_global_zero:
                save_checkpoint(checkpoint, {**place, "work": work.state()})
            saved_at = time.monotonic()
        on_progress(Progress(step + 1, steps, loss, work.gamma))
    probe = work.domain_probe()
    if probe is not None:
        journal.write(steps, {f"domain_probe_{name}": of for name, of in asdict(probe).items()})
    journal.close()
    logit, phase = work.look_at_held_out()
    result = Member(
        state=work.trainee.kept_state(),
        held_out=held_out,
        logit=logit,
        phase=phase,
        hardness=work.hardness(),
        probe=probe,
        seconds=seconds + time.monotonic() - clock,
    )
    if fabric.is_global_zero:
        _keep(folder, identity, result)
        checkpoint.unlink(missing_ok=True)
    fabric.barrier()
    return result


def epochs_for(schedule: ScheduleSection, figures: int) -> int:
    """Return how many epochs a member is trained for: more than asked for on a small set.

    Args:
        schedule: of the recipe.
        figures: trained on, 1 or more.
    """
    steps = math.ceil(figures / schedule.batch_size)
    return max(schedule.epochs, math.ceil(schedule.least_steps / steps))


class _Work:
    """A member in training, and what is renewed after every epoch: mining and gamma."""

    def __init__(
        self,
        recipe: Recipe,
        shown: Windows | Embeddings,
        figures: TrainingFigures,
        rows: Rows,
        aside: Rows,
        held_out: Rows,
        member: int,
        fabric: Fabric,
        unlabelled: UnlabelledFigures | None,
        weights: Path | None,
    ) -> None:
        self._recipe, self._shown, self._figures = recipe, shown, figures
        self._fabric, self._aside, self._held_out = fabric, aside, held_out
        self._weights = np.zeros(len(figures.target))
        self._weights[rows] = figure_weights(
            figures.domain[rows],
            figures.atypical[rows],
            class_balance=recipe.sampling.class_balance,
            domain_balance=recipe.sampling.domain_balance,
        )
        self.trainee = Trainee(
            recipe, member, fabric, shown, figures, self._weights, unlabelled, weights
        )
        counted = self._weights * self.trainee.loss_weight
        self._aside_weight = in_mixture(counted, figures.atypical, aside)
        self._mining: HardNegatives | None = None
        if recipe.hard_negatives.times > 1:
            normal = rows[~figures.atypical[rows]]
            self._mining = HardNegatives(recipe.hard_negatives, normal, figures.unanimous[normal])
        rng = np.random.default_rng(seed_of(recipe, member, 4))
        self._probed = rng.permutation(rows)[:PROBE_FIGURES]
        self._probe_before = self._probe()

    @property
    def gamma(self) -> tuple[float, ...]:
        """Of each confidence bin; empty unless it is adaptive."""
        adaptive = self.trainee.gamma
        return () if adaptive is None else tuple(map(float, adaptive.gamma))

    def weights(self) -> Floats:
        """Return the share of each figure in the epoch that begins, float64 (N,)."""
        if self._mining is None:
            return self._weights
        return self._mining.sharpen(self._weights, self._figures.cell)

    def end_epoch(self, *, curve: bool) -> dict[str, float]:
        """Renew hard negatives and gammas; return what is to be recorded, the AUROC if asked."""
        values = self.trainee.rates()
        if self._mining is not None:
            self._mining.update(self._p(self._mining.rows))
            mined = np.isin(self._mining.rows, self._mining.mined)
            if mined.any():
                values["mined"] = float(mined.sum())
                values["mined_score"] = float(self._mining.score[mined].mean())
        adaptive = self.trainee.gamma
        if adaptive is not None:
            target = self._figures.target[self._aside].astype(np.float64)
            error = adaptive.renew(self._p(self._aside), target, self._aside_weight)
            for number, (each, gamma) in enumerate(zip(error, adaptive.gamma, strict=True), 1):
                values[f"calibration_error_bin_{number}"] = float(each)
                values[f"gamma_bin_{number}"] = float(gamma)
        if curve:
            logit, _ = self.look_at_held_out(exact=False)
            values |= _auroc(self._figures.truth[self._held_out], logit)
        return values

    def look_at_held_out(
        self, *, exact: bool = True
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return logits (H,) and phase logits (H, phases) of the network that is kept."""
        rows = self._held_out
        if not len(rows):
            return np.empty(0, dtype=np.float32), np.empty((0, 0), dtype=np.float32)
        with self.trainee.averaged() as kept:
            found = look_at(kept, self._shown, rows, self._recipe, self._fabric, exact=exact)
        phase = torch.empty(len(rows), 0) if found.phase is None else found.phase
        return found.logit.numpy(), phase.numpy()

    def hardness(self) -> npt.NDArray[np.float32]:
        """Return the moving average of each normal training figure, NaN elsewhere."""
        hardness = np.full(len(self._figures.target), np.nan, dtype=np.float32)
        if self._mining is not None:
            hardness[self._mining.rows] = self._mining.score
        return hardness

    def domain_probe(self) -> DomainProbe | None:
        """Return how well domains are told, before and after."""
        after = self._probe()
        if after is None or self._probe_before is None:
            return None
        return DomainProbe(self._probe_before[0], after[0], after[1])

    def state(self) -> dict[str, Any]:
        """Return all of it, for a checkpoint."""
        return {
            "trainee": self.trainee.state(),
            "mining": None if self._mining is None else self._mining.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Load what `state` gave."""
        self.trainee.load_state(state["trainee"])
        if self._mining is not None:
            self._mining.load_state(state["mining"])

    def _p(self, rows: Rows) -> Floats:
        """Return P(atypical) by the network as the last step left it, float64 (len(rows),)."""
        now = self.trainee.current
        found = look_at(now, self._shown, rows, self._recipe, self._fabric, exact=False)
        return np.asarray(expit(found.logit.double().numpy()))

    def _probe(self) -> tuple[float, float] | None:
        rows, figures = self._probed, self._figures
        if len(np.unique(figures.domain[rows])) < 2:
            return None
        with self.trainee.averaged() as kept:
            found = look_at(kept, self._shown, rows, self._recipe, self._fabric, exact=False)
        return domain_probe(found.embedding.numpy(), figures.domain[rows], figures.case[rows])


def _resumed(
    work: _Work, checkpoint: Path, identity: str
) -> tuple[int, float, list[dict[str, float]]]:
    """Load a checkpoint, if there is one; return its step, seconds, and losses of the epoch."""
    found = load_checkpoint(checkpoint, identity)
    if found is None:
        return 0, 0.0, []
    work.load_state(found["work"])
    return found["step"], found["seconds"], found["losses"]


def _means(parts: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each part of the loss over an epoch."""
    named = {name: name if name == "loss" else f"loss_{name}" for name in parts[0]}
    return {shown: float(np.mean([one[name] for one in parts])) for name, shown in named.items()}


def _auroc(truth: npt.NDArray[np.float64], logit: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return the held-out AUROC, or nothing where one class is absent."""
    known = ~np.isnan(truth)
    if len(np.unique(truth[known])) < 2:
        return {}
    return {"held_out_auroc": float(roc_auc_score(truth[known], logit[known]))}


def _keep(folder: Path, identity: str, member: Member) -> None:
    held_out, logit = torch.from_numpy(member.held_out), torch.from_numpy(member.logit)
    seconds = torch.tensor(member.seconds, dtype=torch.float64)
    scores = {
        "held_out": held_out,
        "logit": logit,
        "phase": torch.from_numpy(member.phase),
        "seconds": seconds,
        "hardness": torch.from_numpy(member.hardness),
    }
    if member.probe is not None:
        values = (member.probe.before, member.probe.after, member.probe.chance)
        scores["probe"] = torch.tensor(values, dtype=torch.float64)
    with written_whole(folder / "scores.safetensors") as partial:
        partial.write_bytes(serialized(scores))
    with written_whole(folder / "member.safetensors") as partial:
        partial.write_bytes(serialized(member.state, metadata={"identity": identity}))


def kept_identity(folder: Path) -> str | None:
    """Return the fingerprint of a member that is done; None where there is none.

    Raises:
        AtypiaError: the member's file is damaged.
    """
    weights = folder / "member.safetensors"
    if not weights.is_file():
        return None
    try:
        with safe_open(weights, framework="pt") as file:
            return str(file.metadata()["identity"])
    except (SafetensorError, OSError, KeyError, TypeError) as fault:
        raise AtypiaError(
            f"{weights}: cannot be read as a member; delete the folder {folder} to train it again"
        ) from fault


def _read_back(folder: Path, identity: str) -> Member | None:
    found = kept_identity(folder)
    if found is None:
        return None
    weights = folder / "member.safetensors"
    require_same(weights, found, identity)
    scores = folder / "scores.safetensors"
    try:
        kept = load_file(scores)
        return Member(
            state=load_file(weights),
            held_out=kept["held_out"].numpy(),
            logit=kept["logit"].numpy(),
            phase=kept["phase"].numpy(),
            hardness=kept["hardness"].numpy(),
            probe=DomainProbe(*kept["probe"].tolist()) if "probe" in kept else None,
            seconds=float(kept["seconds"]),
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as fault:
        raise AtypiaError(
            f"{scores}: does not hold what a member keeps; delete the folder {folder} to train it "
            "again"
        ) from fault
