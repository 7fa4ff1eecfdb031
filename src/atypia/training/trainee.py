"""What changes while a member is trained: network, optimiser, averaged weights; and one step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from timm.utils.model_ema import ModelEmaV3

from atypia.data.crops import Windows
from atypia.models.classifier import Classifier
from atypia.models.cpu import depthwise_in_float32, keep_freed_memory
from atypia.training.adaptive_gamma import AdaptiveGamma
from atypia.training.batches import augmented_crops
from atypia.training.figures import TrainingFigures, UnlabelledFigures
from atypia.training.losses.domain import domain_loss, reversal_strength
from atypia.training.losses.focal import class_weights, focal_loss
from atypia.training.losses.metric import contrastive_loss
from atypia.training.losses.phase import phase_loss
from atypia.training.mixup import mixup
from atypia.training.network import TrainingNetwork
from atypia.training.recipe import Recipe

Rows = npt.NDArray[np.int64]
# The domain head must keep up with the backbone that is trained against it: at the rate of the
# other heads a linear probe still told the stain of a phantom after 200 steps.
DOMAIN_HEAD_RATE = 5
# Unlabelled figures in a step, as a share of the labelled ones.
UNLABELLED_SHARE = 0.25


class Trainee:
    """A member in training."""

    def __init__(
        self,
        recipe: Recipe,
        member: int,
        fabric: Fabric,
        windows: Windows,
        figures: TrainingFigures,
        rows: Rows,
        unlabelled: UnlabelledFigures | None,
    ) -> None:
        """Build the network, untrained.

        Args:
            recipe: what decides the training.
            member: its number, part of every draw.
            fabric: device and precision, launched.
            windows: of N figures.
            figures: the same N figures.
            rows: that are trained on.
            unlabelled: figures of a laboratory to adapt to.
        """
        self._recipe, self._member, self._fabric = recipe, member, fabric
        self._windows, self._figures, self._unlabelled = windows, figures, unlabelled
        torch.manual_seed(seed_of(recipe, member, 0))
        network = TrainingNetwork(recipe, len(figures.domains), len(figures.phases))
        network = network.to(memory_format=torch.channels_last)
        if fabric.device.type == "cpu":
            keep_freed_memory()
            depthwise_in_float32(network)
        self._network, self._optimizer = fabric.setup(network, _optimizer(network, recipe))
        self._ema = ModelEmaV3(self.current, decay=recipe.ema.decay, use_warmup=True)
        self.gamma = AdaptiveGamma(recipe.focal) if recipe.focal.adaptive else None
        self._weights = np.ones(len(figures.target), dtype=np.float32)
        self._weights[rows] = class_weights(figures.cell[rows], recipe.focal.beta)

    @property
    def current(self) -> Classifier:
        """The classifier as the last step left it."""
        module = self._network.module.classifier
        assert isinstance(module, Classifier)
        return module

    @property
    def averaged(self) -> Classifier:
        """The classifier to keep: averaged over training where `ema` is on."""
        module = self._ema.module if self._recipe.ema.decay else self.current
        assert isinstance(module, Classifier)
        return module

    def step(self, rows: Rows, step: int, steps: int) -> dict[str, float]:
        """Take one step on some figures; return the loss and its parts, before weighting."""
        recipe, fabric, figures = self._recipe, self._fabric, self._figures
        seed = seed_of(recipe, self._member, 2, step)
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)  # dropout draws from the global generator
        crops = augmented_crops(self._windows.batch(rows), recipe, fabric.device, rng)
        wanted = np.column_stack([figures.target[rows], self._weights[rows], figures.phase[rows]])
        mixed, wanted_mixed = mixup(
            crops, torch.from_numpy(wanted).to(fabric.device), recipe.mixup.alpha, rng
        )
        target, weight, phase = wanted_mixed[:, 0], wanted_mixed[:, 1], wanted_mixed[:, 2:]

        further, unmixed_rows, domain = self._unmixed(crops, rows, step)
        batch = torch.cat([mixed, *further]) if further else mixed
        self._network.train()
        found = self._network(
            batch.contiguous(memory_format=torch.channels_last),
            len(domain),
            reversal_strength(step / steps),
        )
        logit = found.logit[: len(rows)]
        gamma = recipe.focal.gamma if self.gamma is None else self.gamma.of(logit)
        parts = {"class": (weight * focal_loss(logit, target, gamma)).mean()}
        loss = parts["class"]
        if found.phase is not None:
            parts["phase"] = phase_loss(found.phase[: len(rows)], phase)
            loss = loss + recipe.phase.weight * parts["phase"]
        if found.projection is not None:
            atypical, anchor, slide = (
                torch.from_numpy(values[unmixed_rows]).to(fabric.device)
                for values in (figures.atypical, figures.unanimous, figures.slide)
            )
            points = found.projection[: len(unmixed_rows)]
            parts["metric"] = contrastive_loss(
                points, atypical, anchor, slide, recipe.metric.temperature
            )
            loss = loss + recipe.metric.weight * parts["metric"]
        if found.domain is not None:
            parts["domain"] = domain_loss(found.domain, torch.from_numpy(domain).to(fabric.device))
            loss = loss + recipe.domain.weight * parts["domain"]
        fabric.backward(loss)
        fabric.clip_gradients(self._network, self._optimizer, max_norm=recipe.schedule.clip)
        _set_rates(self._optimizer, recipe, step, steps)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._ema.update(self.current, step)
        detached = {name: float(part.detach()) for name, part in parts.items()}
        return {"loss": float(loss.detach()), **(detached if len(parts) > 1 else {})}

    def _unmixed(
        self, crops: torch.Tensor, rows: Rows, step: int
    ) -> tuple[list[torch.Tensor], Rows, Rows]:
        """Return what the metric and the domain loss look at besides the batch itself.

        With MixUp, half of the batch is shown again unmixed; with a metric loss, that half is
        shown once more in another augmentation. Crops of the laboratory to adapt to come last.

        Args:
            crops: float32 (B, 3, P, P), of the batch, before MixUp.
            rows: int64 (B,), of the batch.
            step: part of every draw.

        Returns:
            Crops to be appended to the batch; the figures of the unmixed labelled crops at the
            end of the result; the domains of these, then of the unlabelled ones.
        """
        recipe, figures, device = self._recipe, self._figures, self._fabric.device
        metric, domain = bool(recipe.metric.weight), bool(recipe.domain.weight)
        if not metric and not domain:
            return [], rows, figures.domain[rows]
        rng = np.random.default_rng(seed_of(recipe, self._member, 3, step))
        half = rows[: max(1, len(rows) // 2)]
        further, unmixed = [], [rows]
        if recipe.mixup.alpha:
            further, unmixed = [crops[: len(half)]], [half]
        if metric:
            further.append(augmented_crops(self._windows.batch(half), recipe, device, rng))
            unmixed.append(half)
        labelled = np.concatenate(unmixed)
        domains = [figures.domain[labelled]]
        if domain and self._unlabelled is not None:
            others = self._unlabelled
            count = max(1, round(UNLABELLED_SHARE * len(rows)))
            chosen = rng.integers(0, len(others.domain), count)
            further.append(augmented_crops(others.windows.batch(chosen), recipe, device, rng))
            domains.append(others.domain[chosen])
        return further, labelled, np.concatenate(domains)

    def rates(self) -> dict[str, float]:
        """Return the learning rate of the first group of parameters."""
        return {"learning_rate": float(self._optimizer.param_groups[0]["lr"])}

    def state(self) -> dict[str, Any]:
        """Return all of it, for a checkpoint."""
        return {
            "network": self._network.module.state_dict(),
            "ema": self._ema.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "gamma": None if self.gamma is None else self.gamma.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Load what `state` gave."""
        self._network.module.load_state_dict(state["network"])
        self._ema.module.load_state_dict(state["ema"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self.gamma is not None:
            self.gamma.load_state(state["gamma"])


def seed_of(recipe: Recipe, *parts: int) -> int:
    """Return a seed that depends on the recipe's and on the place in the training alone."""
    return int(np.random.SeedSequence((recipe.seed, *parts)).generate_state(1)[0])


def _optimizer(network: TrainingNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; no decay on biases and norms; heads learn faster than the backbone."""
    schedule = recipe.schedule
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            head = not name.startswith("classifier.backbone.")
            rate = schedule.head_learning_rate if head else schedule.learning_rate
            rate *= DOMAIN_HEAD_RATE if name.startswith("domain.") else 1
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
