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
from scipy.special import expit

from atypia.errors import AtypiaError
from atypia.evaluation.metrics import auroc
from atypia.evaluation.probe import DomainProbe, probe_domains
from atypia.models.classifier import Output
from atypia.training.batches import BatchSource
from atypia.training.checkpoint import load_checkpoint, save_checkpoint
from atypia.training.components.base import Material
from atypia.training.components.distillation import Teachers
from atypia.training.components.hard_negatives import HardNegatives
from atypia.training.components.sampling import draw_epoch, figure_weights, mixture_weights
from atypia.training.figures import TrainingFigures, UnlabelledFigures, fit_targets
from atypia.training.member import CHECKPOINT, Member, read_member, save_member
from atypia.training.metrics_log import MetricsLog
from atypia.training.recipe import Recipe, ScheduleSection
from atypia.training.requirements import require_components_work
from atypia.training.scoring import infer
from atypia.training.stepper import MemberStepper, derive_seed

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
CHECKPOINT_SECONDS = 60.0
# Scoring the held-out figures costs time and serves the curve only.
HELD_OUT_CURVE_POINTS = 6
# Enough for a linear probe to separate six domains, and a second's work.
PROBE_FIGURES = 400


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        step: steps done.
        steps: steps in total.
        loss: of the last step.
        gamma: of each confidence bin, least confident first; empty unless gamma is adaptive.
    """

    step: int
    steps: int
    loss: float
    gamma: tuple[float, ...]


@dataclass(frozen=True)
class MemberInputs:
    """What all members of a training share: recipe, figures, device.

    Attributes:
        recipe: what decides the training.
        source: windows of N figures, or embeddings where the backbone is frozen.
        figures: the same N figures.
        fabric: device and precision, launched.
        unlabelled: figures of a laboratory to adapt to, for the domain loss alone.
        weights: file of the backbone's published weights, where they are a file.
    """

    recipe: Recipe
    source: BatchSource
    figures: TrainingFigures
    fabric: Fabric
    unlabelled: UnlabelledFigures | None = None
    weights: Path | None = None


def train_member(
    inputs: MemberInputs,
    held_out: Rows,
    folder: Path,
    *,
    member: int,
    identity: str,
    on_progress: Callable[[Progress], None],
    curve: bool = True,
    load_teachers: Callable[[], Teachers | None] = lambda: None,
) -> Member:
    """Train one member on all figures but the held-out ones, then score these.

    The held-out figures decide nothing: the weights after the last step are kept. An interrupted
    training resumes from its last checkpoint; a finished one is read back.

    Args:
        inputs: recipe, figures, device.
        held_out: rows that are not trained on.
        folder: of this member: checkpoint, metrics, weights, scores.
        member: its number, part of every draw.
        identity: fingerprint of all that decides the weights.
        on_progress: called after every step.
        curve: record the AUROC of the held-out figures during training: it takes time and changes
            nothing.
        load_teachers: gives those of this member, if there are any; a finished member needs none.

    Raises:
        RecipeError: a component has nothing to work on in these figures.
    """
    finished = read_member(folder, identity)
    if finished is not None:
        return finished
    recipe, figures, fabric = inputs.recipe, inputs.figures, inputs.fabric
    rows = np.setdiff1d(np.arange(len(inputs.source)), held_out)
    adapt_to = None if inputs.unlabelled is None else inputs.unlabelled.domain
    require_components_work(recipe, figures, rows, adapt_to)
    figures = fit_targets(figures, rows, recipe.soft_labels)
    training = MemberTraining(inputs, figures, rows, held_out, member, load_teachers())
    batch_size = recipe.schedule.batch_size
    steps_per_epoch = math.ceil(training.figures / batch_size)
    epochs = epochs_for(recipe.schedule, training.figures)
    steps = steps_per_epoch * epochs

    held_out_every = math.ceil(epochs / HELD_OUT_CURVE_POINTS)
    checkpoint = folder / CHECKPOINT
    first, seconds, losses = _resume(training, checkpoint, identity)
    folder.mkdir(parents=True, exist_ok=True)
    metrics_log = MetricsLog(folder, first, silent=not fabric.is_global_zero)
    clock = time.monotonic()
    saved_at = clock
    for step in range(first, steps):
        epoch, position = divmod(step, steps_per_epoch)
        if position == 0 or step == first:
            rng = np.random.default_rng(derive_seed(recipe, member, 1, epoch))
            drawn = draw_epoch(training.weights(epoch), steps_per_epoch * batch_size, rng)
        batch = drawn[position * batch_size : (position + 1) * batch_size]
        losses.append(training.stepper.step(batch, step, steps))
        last = position == steps_per_epoch - 1
        loss = losses[-1]["loss"]
        if last:
            values = training.end_epoch(epoch, curve=curve and (epoch + 1) % held_out_every == 0)
            metrics_log.write(step + 1, {"epoch": epoch + 1, **_means(losses), **values})
            losses = []
        if last or time.monotonic() - saved_at > CHECKPOINT_SECONDS:
            spent = seconds + time.monotonic() - clock
            place = {"identity": identity, "step": step + 1, "seconds": spent, "losses": losses}
            if fabric.is_global_zero:
                save_checkpoint(checkpoint, {**place, "work": training.state()})
            saved_at = time.monotonic()
        on_progress(Progress(step + 1, steps, loss, training.gamma))
    probe = training.domain_probe()
    if probe is not None:
        metrics_log.write(steps, {f"domain_probe_{key}": p for key, p in asdict(probe).items()})
    metrics_log.close()
    logit, phase = training.score_held_out()
    result = Member(
        state=training.stepper.bundle_state(),
        held_out=held_out,
        logit=logit,
        phase=phase,
        hardness=training.hardness(),
        probe=probe,
        gammas=training.gammas(),
        seconds=seconds + time.monotonic() - clock,
    )
    if fabric.is_global_zero:
        save_member(folder, identity, result)
        checkpoint.unlink(missing_ok=True)
    fabric.barrier()
    return result


def epochs_for(schedule: ScheduleSection, figures: int) -> int:
    """Return the number of epochs: more than in the recipe for a small set.

    Args:
        schedule: of the recipe.
        figures: number of training figures, 1 or more.
    """
    steps = math.ceil(figures / schedule.batch_size)
    return max(schedule.epochs, math.ceil(schedule.min_steps / steps))


class MemberTraining:
    """A member in training, with what is updated after every epoch: hard negatives and gamma.

    Attributes:
        figures: number of those that it is trained on.
        stepper: takes its steps.
    """

    def __init__(
        self,
        inputs: MemberInputs,
        figures: TrainingFigures,
        rows: Rows,
        held_out: Rows,
        member: int,
        teachers: Teachers | None = None,
    ) -> None:
        recipe, source, fabric = inputs.recipe, inputs.source, inputs.fabric
        unlabelled, weights = inputs.unlabelled, inputs.weights
        self._recipe, self._source, self._figures = recipe, source, figures
        self._fabric, self._held_out = fabric, held_out
        adapt_to = None if unlabelled is None else unlabelled.domain
        material = Material(figures, rows, adapt_to, recipe.seed)
        self._turns = recipe.focal.calibration_turns(material)
        if len(self._turns) == 1:
            rows = np.setdiff1d(rows, self._turns[0])
        self.figures = len(rows)
        self._weights = np.zeros(len(figures.target))
        self._weights[rows] = figure_weights(
            figures.domain[rows],
            figures.atypical[rows],
            class_balance=recipe.sampling.class_balance,
            domain_balance=recipe.sampling.domain_balance,
        )
        self.stepper = MemberStepper(
            recipe, member, fabric, source, figures, self._weights, unlabelled, weights, teachers
        )
        self._counted = self._weights * self.stepper.loss_weight
        self._mining: HardNegatives | None = None
        if recipe.hard_negatives.oversampling > 1:
            normal = rows[~figures.atypical[rows]]
            self._mining = HardNegatives(recipe.hard_negatives, normal, figures.unanimous[normal])
        rng = np.random.default_rng(derive_seed(recipe, member, 4))
        self._probe_rows = rng.permutation(rows)[:PROBE_FIGURES]
        self._probe_before = self._probe()
        # After each epoch; None where a checkpoint of an earlier version lacks the first ones.
        self._gammas: list[Floats] | None = []

    @property
    def gamma(self) -> tuple[float, ...]:
        """Of each confidence bin; empty unless gamma is adaptive."""
        adaptive = self.stepper.gamma
        return () if adaptive is None else tuple(map(float, adaptive.gamma))

    def weights(self, epoch: int) -> Floats:
        """Return the share of each figure in an epoch, float64 (N,)."""
        weights = self._weights
        if self._mining is not None:
            weights = self._mining.sharpen(weights, self._figures.cell)
        if len(self._turns) > 1:
            weights = weights.copy()
            weights[self._aside(epoch)] = 0
            weights /= weights.sum()
        return weights

    def _aside(self, epoch: int) -> Rows:
        """Return the figures that calibration is measured on after an epoch."""
        return self._turns[epoch % len(self._turns)]

    def end_epoch(self, epoch: int, *, curve: bool) -> dict[str, float]:
        """Update hard negatives and gammas; return values to record, with `curve` the AUROC."""
        values = self.stepper.rates()
        if self._mining is not None:
            self._mining.update(self._p(self._mining.rows))
            mined = np.isin(self._mining.rows, self._mining.mined)
            if mined.any():
                values["mined"] = float(mined.sum())
                values["mined_score"] = float(self._mining.score[mined].mean())
        adaptive = self.stepper.gamma
        if adaptive is not None:
            aside = self._aside(epoch)
            target = self._figures.target[aside].astype(np.float64)
            weight = mixture_weights(self._counted, self._figures.atypical, aside)
            error = adaptive.update(self._p(aside), target, weight)
            for number, (bias, gamma) in enumerate(zip(error, adaptive.gamma, strict=True), 1):
                values[f"calibration_error_bin_{number}"] = float(bias)
                values[f"gamma_bin_{number}"] = float(gamma)
            if self._gammas is not None:
                self._gammas.append(adaptive.gamma.copy())
        if curve:
            logit, _ = self.score_held_out(exact=False)
            values |= _auroc(self._figures.truth[self._held_out], logit)
        return values

    def score_held_out(
        self, *, exact: bool = True
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return logits (H,) and phase logits (H, phases) of the averaged network."""
        rows = self._held_out
        if not len(rows):
            return np.empty(0, dtype=np.float32), np.empty((0, 0), dtype=np.float32)
        output = self._infer_averaged(rows, exact=exact)
        phase = torch.empty(len(rows), 0) if output.phase is None else output.phase
        return output.logit.numpy(), phase.numpy()

    def gammas(self) -> Floats | None:
        """Return the gammas after each epoch, float64 (epochs, bins); None if they are unknown.

        Without adaptive gamma the array is empty.
        """
        if self.stepper.gamma is None:
            return np.empty((0, 0))
        return None if self._gammas is None else np.stack(self._gammas)

    def hardness(self) -> npt.NDArray[np.float32]:
        """Return the moving average of each normal training figure, NaN elsewhere."""
        hardness = np.full(len(self._figures.target), np.nan, dtype=np.float32)
        if self._mining is not None:
            hardness[self._mining.rows] = self._mining.score
        return hardness

    def domain_probe(self) -> DomainProbe | None:
        """Return the linear-probe accuracy for domain before and after training."""
        after = self._probe()
        if after is None or self._probe_before is None:
            return None
        return DomainProbe(self._probe_before[0], after[0], after[1])

    def state(self) -> dict[str, Any]:
        """Return all of it, for a checkpoint."""
        return {
            "trainee": self.stepper.state(),
            "mining": None if self._mining is None else self._mining.state(),
            "gammas": None if self._gammas is None else list(map(torch.from_numpy, self._gammas)),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Load what `state` gave."""
        self.stepper.load_state(state["trainee"])
        if self._mining is not None:
            self._mining.load_state(state["mining"])
        gammas = state.get("gammas")
        self._gammas = None if gammas is None else [gamma.numpy() for gamma in gammas]

    def _p(self, rows: Rows) -> Floats:
        """Return P(atypical) by the network as the last step left it, float64 (len(rows),)."""
        network = self.stepper.current
        output = infer(network, self._source, rows, self._recipe, self._fabric, exact=False)
        return np.asarray(expit(output.logit.double().numpy()))

    def _infer_averaged(self, rows: Rows, *, exact: bool) -> Output:
        with self.stepper.use_average() as network:
            return infer(network, self._source, rows, self._recipe, self._fabric, exact=exact)

    def _probe(self) -> tuple[float, float] | None:
        rows, figures = self._probe_rows, self._figures
        if len(np.unique(figures.domain[rows])) < 2:
            return None
        embedding = self._infer_averaged(rows, exact=False).embedding.numpy()
        return probe_domains(embedding, figures.domain[rows], figures.case[rows])


def _resume(
    training: MemberTraining, checkpoint: Path, identity: str
) -> tuple[int, float, list[dict[str, float]]]:
    """Load a checkpoint, if there is one; return its step, seconds, and losses of the epoch."""
    state = load_checkpoint(checkpoint, identity)
    if state is None:
        return 0, 0.0, []
    try:
        training.load_state(state["work"])
        return state["step"], state["seconds"], state["losses"]
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as fault:
        raise AtypiaError(
            f"{checkpoint}: was written by an incompatible version of atypia; delete it to train "
            "this member again"
        ) from fault


def _means(parts: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each part of the loss over an epoch."""
    names = {name: name if name == "loss" else f"loss_{name}" for name in parts[0]}
    return {new: float(np.mean([part[name] for part in parts])) for name, new in names.items()}


def _auroc(truth: npt.NDArray[np.float64], logit: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return the held-out AUROC, or nothing where one class is absent."""
    known = ~np.isnan(truth)
    if len(np.unique(truth[known])) < 2:
        return {}
    return {"held_out_auroc": auroc(truth[known], logit[known].astype(np.float64))}
