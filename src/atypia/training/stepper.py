"""One step of training, and what it changes: network, optimiser, averaged weights."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric

from atypia.errors import AtypiaError
from atypia.models.adapters import hold_in_bfloat16, recompute_activations
from atypia.models.classifier import Classifier
from atypia.models.cpu import depthwise_in_float32
from atypia.models.folding import fold_in_training
from atypia.platform import keep_freed_memory
from atypia.training.batches import Batch, BatchSource, training_batch, training_views
from atypia.training.components.adaptive_gamma import AdaptiveGamma
from atypia.training.components.base import Labels, Outputs, Rows
from atypia.training.components.distillation import Teachers, mix_in_teachers
from atypia.training.components.ema import Averaging
from atypia.training.components.focal import class_weights, focal_loss
from atypia.training.components.mixup import mixup
from atypia.training.components.sampling import prior_offsets
from atypia.training.devices import read_precision
from atypia.training.figures import TrainingFigures, UnlabelledFigures
from atypia.training.network import TrainingNetwork
from atypia.training.recipe import Recipe

#: Name of the classification loss beside those of the components.
CLASS = "class"

# Names of tensors in checkpoints of versions before components had heads of their own.
_OLD_TENSORS = {
    "projection.layers.": "heads.contrastive.",
    "domain.layers.": "heads.domain_adversarial.",
}


class MemberStepper:
    """A member in training."""

    def __init__(
        self,
        recipe: Recipe,
        member: int,
        fabric: Fabric,
        source: BatchSource,
        figures: TrainingFigures,
        shares: npt.NDArray[np.float64],
        unlabelled: UnlabelledFigures | None,
        weights: Path | None = None,
        teachers: Teachers | None = None,
    ) -> None:
        """Build the network, untrained.

        Args:
            recipe: what decides the training.
            member: its number, part of every draw.
            fabric: device and precision, launched.
            source: windows of N figures, or embeddings where the backbone is frozen.
            figures: the same N figures.
            shares: float64 (N,), of each figure in an epoch; 0 where it is not trained on.
            unlabelled: figures of a laboratory to adapt to.
            weights: file of the backbone's published weights, where they are a file.
            teachers: that score the crops of each step.
        """
        self._teachers = teachers
        self._recipe, self._member, self._fabric = recipe, member, fabric
        self._source, self._figures, self._unlabelled = source, figures, unlabelled
        torch.manual_seed(derive_seed(recipe, member, 0))
        network = TrainingNetwork(recipe, figures, weights)
        network = network.to(memory_format=torch.channels_last)
        if fabric.device.type == "cpu":
            keep_freed_memory()
            depthwise_in_float32(network)
            fold_in_training(network.classifier.backbone, recipe.backbone.input_px)
        if read_precision(fabric) == "bf16-mixed":
            hold_in_bfloat16(network.classifier.backbone)
        if recipe.schedule.gradient_checkpointing:
            recompute_activations(network.classifier.backbone)
        optimizer = _optimizer(network, recipe, fused=fabric.device.type == "cuda")
        self._network, self._optimizer = fabric.setup(network, optimizer)
        self._averaging = Averaging(self.current, recipe.ema.decay)
        self._pieces, self._fits = 1, False
        self.gamma = AdaptiveGamma(recipe.focal) if recipe.focal.adaptive else None
        self.loss_weight = np.ones(len(figures.target), dtype=np.float32)
        rows = np.flatnonzero(shares)
        self.loss_weight[rows] = class_weights(figures.cell[rows], shares[rows], recipe.focal.beta)
        counted, prior = shares * self.loss_weight, recipe.sampling.prior
        self._offset = prior_offsets(figures.domain, figures.target, counted, prior)

    @property
    def current(self) -> Classifier:
        """The classifier as the last step left it."""
        module = self._network.module.classifier
        assert isinstance(module, Classifier)
        return module

    def use_average(self) -> AbstractContextManager[Classifier]:
        """Hold the classifier that a bundle keeps: averaged over training where `ema` is on."""
        return self._averaging.use_average()

    def bundle_state(self) -> dict[str, torch.Tensor]:
        """Return the tensors that a bundle keeps, on the CPU."""
        with self.use_average() as network:
            return {name: tensor.clone() for name, tensor in network.saved_state().items()}

    def step(self, rows: Rows, step: int, steps: int) -> dict[str, float]:
        """Take one step on some figures; return the loss and its parts, before weighting.

        A batch too large for the device's memory is divided into pieces whose gradients add up.
        The step stays that of the whole batch, except for what depends on the other figures of a
        batch (batch normalisation, contrastive pairs), which then happens within a piece.

        Raises:
            AtypiaError: not even pieces of one figure fit into the memory.
        """
        recipe, fabric = self._recipe, self._fabric
        seed = derive_seed(recipe, self._member, 2, step)
        whole = self._batch(rows, step, np.random.default_rng(seed))
        batch = list(whole.pieces(fabric.world_size))[fabric.global_rank]
        done = step / steps
        if fabric.world_size > 1 and not self._fits:
            self._make_fit(batch, done)
        while True:
            torch.manual_seed(seed)  # dropout draws from the global generator
            try:
                parts = self._gradients(batch, done)
                break
            except torch.OutOfMemoryError as fault:
                if fabric.world_size > 1 or self._pieces >= len(rows):
                    raise self._out_of_memory() from fault
            # Outside the handler, so that the memory of the failed batch is free.
            self._free_memory()
            self._pieces *= 2
        fabric.clip_gradients(self._network, self._optimizer, max_norm=recipe.schedule.clip)
        _set_rates(self._optimizer, recipe, step, steps)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._averaging.update(step)
        if fabric.world_size > 1:
            parts = dict(zip(parts, self._reduce(list(parts.values()), "mean"), strict=True))
        return parts

    def _make_fit(self, batch: Batch, done: float) -> None:
        """Find, before the first step of several processes, pieces that fit into every memory.

        Later would be too late: a process that repeats a step would leave the others waiting for
        its gradients. What is computed here is discarded.
        """
        buffers = [buffer.clone() for buffer in self._network.module.buffers()]
        while not self._fits:
            try:
                with self._fabric.no_backward_sync(self._network):
                    self._gradients(batch, done)
                failed = 0.0
            except torch.OutOfMemoryError:
                failed = 1.0
            self._free_memory()
            self._fits = self._reduce([failed], "max") == [0.0]
            if not self._fits:
                if self._pieces >= len(batch.rows):
                    raise self._out_of_memory()
                self._pieces *= 2
        for buffer, before in zip(self._network.module.buffers(), buffers, strict=True):
            buffer.copy_(before)

    def _reduce(self, values: list[float], how: Literal["mean", "max"]) -> list[float]:
        """Return the mean or the maximum of each value over all processes."""
        own = torch.tensor(values, device=self._fabric.device)
        reduced = self._fabric.all_reduce(own, reduce_op=how)
        assert isinstance(reduced, torch.Tensor)
        return [float(value) for value in reduced]

    def _free_memory(self) -> None:
        self._optimizer.zero_grad()
        torch.cuda.empty_cache()

    def _out_of_memory(self) -> AtypiaError:
        return AtypiaError(
            f"{self._fabric.device}: not enough memory for one figure of "
            f"{self._recipe.backbone.input_px} px; use a smaller backbone.input_px, or "
            "--device cpu"
        )

    def _batch(self, rows: Rows, step: int, rng: np.random.Generator) -> Batch:
        """Prepare the crops and labels of a step.

        With MixUp, half of the batch is added again, unmixed, for the losses that take such crops;
        for a loss that needs a second view, that half is augmented once more. Crops of the
        laboratory to adapt to come last.
        """
        recipe, figures, device = self._recipe, self._figures, self._fabric.device
        others = [] if self._teachers is None else self._teachers.views
        crops, *seen = training_views(self._source, rows, recipe, device, rng, others)
        labels = [
            torch.from_numpy(label).to(device)
            for label in (
                *(figures.target[rows], self.loss_weight[rows]),
                *(figures.phase[rows], self._offset[rows]),
            )
        ]
        if self._teachers is None:
            shown, target, weight, phase, offset = mixup(recipe.mixup.alpha, rng, crops, *labels)
        else:
            own = np.random.default_rng(derive_seed(recipe, self._member, 5, step))
            symmetry = int(own.integers(8)) if recipe.distillation.turned else 0
            seen, labels = mix_in_teachers(
                recipe.distillation.weight,
                [crops, *seen],
                labels,
                self._unlabelled_views(len(rows), own),
            )
            shown, *seen, taught, target, weight, phase, offset = mixup(
                recipe.mixup.alpha, rng, *seen, *labels
            )
            said = torch.sigmoid(self._teachers.score(seen, symmetry) + offset)
            target = target + taught * said
        losses = [loss for _, loss in recipe.losses() if loss.sees == "unmixed"]
        again = bool(losses) and bool(recipe.mixup.alpha)
        half = rows[: max(1, len(rows) // 2)]
        unmixed, unmixed_rows, unlabelled = [], [], rows[:0]
        if again:
            unmixed.append(crops[: len(half)])
            unmixed_rows.append(half)
        rng = np.random.default_rng(derive_seed(recipe, self._member, 3, step))
        if any(loss.second_view for loss in losses):
            unmixed.append(training_batch(self._source, half, recipe, device, rng))
            unmixed_rows.append(half)
        share = max((loss.unlabelled_share for loss in losses), default=0.0)
        if share and self._unlabelled is not None:
            figures_there = self._unlabelled
            count = max(1, round(share * len(rows)))
            draws = rng.integers(0, len(figures_there.domain), count)
            unmixed.append(training_batch(figures_there.windows, draws, recipe, device, rng))
            unlabelled = figures_there.domain[draws]
        return Batch(
            crops=shown,
            target=target,
            weight=weight,
            phase=phase,
            offset=offset,
            rows=rows,
            unmixed=torch.cat(unmixed) if unmixed else crops[:0],
            unmixed_rows=np.concatenate([rows[:0], *unmixed_rows]),
            unlabelled=unlabelled,
            is_unmixed=not again,
        )

    def _unlabelled_views(self, figures: int, rng: np.random.Generator) -> list[torch.Tensor]:
        """Return crops of figures that only teachers label, as the student and each teacher see."""
        recipe = self._recipe
        count = round(recipe.distillation.unlabelled_share * figures)
        if self._unlabelled is None or self._teachers is None or not count:
            return []
        draws = rng.integers(0, len(self._unlabelled.domain), count)
        windows, views = self._unlabelled.windows, self._teachers.views
        return training_views(windows, draws, recipe, self._fabric.device, rng, views)

    def _gradients(self, batch: Batch, done: float) -> dict[str, float]:
        """Add up the gradients of a batch; return the loss and its parts, before weighting."""
        weights = {CLASS: 1.0} | {name: loss.weight for name, loss in self._recipe.losses()}
        self._network.train()
        totals: dict[str, float] = {}
        for number, piece in enumerate(batch.pieces(self._pieces), start=1):
            unfinished = number < self._pieces
            with self._fabric.no_backward_sync(self._network, enabled=unfinished):
                parts = self._losses(piece, done)
                share = len(piece.rows) / len(batch.rows)
                loss = sum((weights[name] * part for name, part in parts.items()), torch.zeros(()))
                self._fabric.backward(loss * share)
            for name, part in {"loss": loss, **parts}.items():
                totals[name] = totals.get(name, 0.0) + float(part.detach()) * share
        return totals if len(totals) > 2 else {"loss": totals["loss"]}

    def _losses(self, batch: Batch, done: float) -> dict[str, torch.Tensor]:
        """Return the mean of each loss over a batch, each a scalar."""
        recipe, figures, device = self._recipe, self._figures, self._fabric.device
        labelled = batch.unmixed_rows
        if batch.is_unmixed:
            labelled = np.concatenate([batch.rows, labelled])
        atypical, unanimous, slide, domain = (
            torch.from_numpy(values).to(device)
            for values in (
                figures.atypical[labelled],
                figures.unanimous[labelled],
                figures.slide[labelled],
                np.concatenate([figures.domain[labelled], batch.unlabelled]),
            )
        )
        crops = torch.cat([batch.crops, batch.unmixed]) if len(batch.unmixed) else batch.crops
        output = self._network(_channels_last(crops), len(domain), done)
        logit = output.logit[: len(batch.target)]
        shifted = logit + batch.offset
        phase = None if output.phase is None else output.phase[: len(batch.target)]
        gamma = recipe.focal.gamma if self.gamma is None else self.gamma.for_logits(shifted)
        labels = Labels(batch.phase, atypical, unanimous, slide, domain)
        return {CLASS: (batch.weight * focal_loss(shifted, batch.target, gamma)).mean()} | {
            name: loss.compute_loss(Outputs(logit, phase, output.heads.get(name)), labels)
            for name, loss in recipe.losses()
        }

    def rates(self) -> dict[str, float]:
        """Return the learning rate of the first group of parameters."""
        return {"learning_rate": float(self._optimizer.param_groups[0]["lr"])}

    def state(self) -> dict[str, Any]:
        """Return all that training has changed, for a checkpoint."""
        module = self._network.module
        trained = {
            name: parameter
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        }
        return {
            "network": trained if self._partly_frozen else module.state_dict(),
            "averaging": self._averaging.state(),
            "optimizer": self._optimizer.state_dict(),
            "gamma": None if self.gamma is None else self.gamma.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        tensors = {_current_tensor_name(name): tensor for name, tensor in state["network"].items()}
        self._network.module.load_state_dict(tensors, strict=not self._partly_frozen)
        self._averaging.load_state(state["averaging"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self.gamma is not None:
            self.gamma.load_state(state["gamma"])

    @property
    def _partly_frozen(self) -> bool:
        """Whether checkpoints leave out the backbone, which is frozen and has a file of its own."""
        return not self._recipe.adapter.keeps_backbone


def _current_tensor_name(name: str) -> str:
    """Return the current name of a tensor; an earlier version may have used another one."""
    for old, new in _OLD_TENSORS.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _channels_last(batch: torch.Tensor) -> torch.Tensor:
    return batch.contiguous(memory_format=torch.channels_last) if batch.ndim == 4 else batch


def derive_seed(recipe: Recipe, *parts: int) -> int:
    """Return a seed that depends only on the recipe's seed and the place in the training."""
    return int(np.random.SeedSequence((recipe.seed, *parts)).generate_state(1)[0])


def _optimizer(network: TrainingNetwork, recipe: Recipe, *, fused: bool) -> torch.optim.Optimizer:
    """AdamW; no decay on biases and norms; heads learn faster than the backbone."""
    schedule = recipe.schedule
    factors = network.rate_factors()
    backbone = {id(parameter) for parameter in network.classifier.backbone.parameters()}
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            head = id(parameter) not in backbone
            rate = schedule.head_learning_rate if head else schedule.learning_rate
            rate *= factors.get(name, 1.0)
            decay = schedule.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": rate, "peak": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ],
        fused=fused,
    )


def _set_rates(optimizer: torch.optim.Optimizer, recipe: Recipe, step: int, steps: int) -> None:
    """Linear warm-up, then a cosine to zero (Loshchilov and Hutter 2017, eq. 5)."""
    # A library's scheduler has a state to restore (torch) or ends at a step of rate zero (timm).
    warm = max(1, round(recipe.schedule.warmup * steps))
    factor = min(
        (step + 1) / warm,
        0.5 * (1 + math.cos(math.pi * max(0, step - warm) / max(1, steps - warm))),
    )
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
