"""The recipe: everything that decides a training, validated.

One section a component, named as in the method's description; a section that is left out keeps
its defaults. `--set section.key=value` changes one value.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from atypia.models.adapter_config import AdapterConfig
from atypia.training.components.augment import AugmentSection
from atypia.training.components.base import Component, LossComponent
from atypia.training.components.contrastive import ContrastiveSection
from atypia.training.components.distillation import DistillationSection
from atypia.training.components.domain_adversarial import DomainAdversarialSection
from atypia.training.components.ema import EmaSection
from atypia.training.components.focal import FocalSection
from atypia.training.components.hard_negatives import HardNegativesSection
from atypia.training.components.mixup import MixupSection
from atypia.training.components.phase import PhaseSection
from atypia.training.components.sampling import SamplingSection
from atypia.training.section import Section, Share

_log = logging.getLogger(__name__)

Precision = Literal["32-true", "bf16-mixed"]

#: Old name of a section or key -> current name. Old names are still read.
OLD_NAMES = {
    "metric": "contrastive",
    "domain": "domain_adversarial",
    "hard_negatives.times": "hard_negatives.oversampling",
    "focal.set_aside": "focal.calibration_share",
    "backbone.views": "backbone.tta_views",
    "schedule.least_steps": "schedule.min_steps",
}


class BackboneSection(Section):
    """The network and its crops."""

    key: str = Field("lite", description="a key of `atypia models list`")
    crop_um: float = Field(16.0, ge=2, le=256, description="side of the crop in tissue, um")
    input_px: int = Field(128, ge=16, le=1024, description="side of the crop for the network, px")
    tta_views: Literal[1, 2, 4, 8] = Field(
        1, description="test-time augmentation: symmetric views of a crop, logits averaged"
    )
    pretrained: bool = Field(True, description="start from the published weights")


class HeadSection(Section):
    """The classification head."""

    dropout: float = Field(0.2, ge=0, lt=1, description="dropout on the embedding")


class SoftLabelsSection(Section):
    """The target: the experts' votes combined."""

    method: Literal["fraction", "majority", "dawid-skene"] = Field(
        "fraction",
        description="share of votes for atypical, majority vote, or votes weighted by skill",
    )
    smoothing: float = Field(0.0, ge=0, le=0.5, description="label smoothing towards 0.5")


class ScheduleSection(Section):
    """Length, learning rate, precision."""

    epochs: int = Field(
        12, ge=1, le=10_000, description="one epoch draws as many figures as there are"
    )
    min_steps: int = Field(
        300,
        ge=1,
        le=10**7,
        description="minimum number of steps: small sets are trained for more epochs",
    )
    batch_size: int = Field(64, ge=2, le=65_536, description="figures per step")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="peak learning rate (AdamW)")
    head_learning_rate: float = Field(
        2e-3, gt=0, le=1, description="peak learning rate of the heads"
    )
    weight_decay: float = Field(
        0.02, ge=0, le=1, description="weight decay (AdamW), not on biases and norms"
    )
    warmup: Share = Field(0.1, description="share of the steps with a rising learning rate")
    clip: float = Field(1.0, gt=0, description="maximum norm of the gradient")
    precision: Precision = Field(
        "bf16-mixed", description="of the network; a CPU without bf16 uses 32-true"
    )
    gradient_checkpointing: bool = Field(
        False, description="recompute activations in the backward pass: less memory, more time"
    )


class FoldsSection(Section):
    """Cross-validation: members, and out-of-fold scores."""

    count: int = Field(5, ge=2, le=100, description="number of folds, grouped by case")
    scheme: Literal["slides", "domains"] = Field(
        "slides", description="slides: grouped, stratified folds; domains: leave one domain out"
    )
    members: int = Field(1, ge=1, le=20, description="networks per fold; their logits are averaged")
    bundle: Literal["folds", "whole"] = Field(
        "folds",
        description="what the bundle holds: the networks of all folds, or as many as one fold has, "
        "trained on all figures",
    )
    domain_groups: int | None = Field(
        None, ge=3, description="leave domains out in this many groups, not one by one"
    )
    left_out_domains: bool = Field(
        False, description="also leave each domain out, for evaluation and to calibrate the bundle"
    )

    @model_validator(mode="after")
    def _left_out_once(self) -> FoldsSection:
        if self.left_out_domains and self.scheme == "domains":
            raise ValueError(
                "folds.left_out_domains with folds.scheme 'domains': each domain is left out "
                "already; keep one of the two"
            )
        return self


class CardSection(Section):
    """Text for the bundle's model card; without effect on the training."""

    data: str = Field("", description="where the figures come from, and who labelled them")
    licence: str = Field("", description="licence of the figures and of the bundle")


class Recipe(Section):
    """A complete training.

    Example:
        >>> Recipe(name="mine", seed=3, schedule={"epochs": 5})
        Recipe(name='mine', seed=3, schedule.epochs=5)
    """

    name: str = Field("unnamed", description="name in the model card")
    seed: int = Field(0, ge=0, lt=2**31, description="random seed")
    backbone: BackboneSection = BackboneSection()
    adapter: AdapterConfig = AdapterConfig()
    head: HeadSection = HeadSection()
    soft_labels: SoftLabelsSection = SoftLabelsSection()
    mixup: MixupSection = MixupSection()
    hard_negatives: HardNegativesSection = HardNegativesSection()
    focal: FocalSection = FocalSection()
    phase: PhaseSection = PhaseSection()
    contrastive: ContrastiveSection = ContrastiveSection()
    domain_adversarial: DomainAdversarialSection = DomainAdversarialSection()
    distillation: DistillationSection = DistillationSection()
    sampling: SamplingSection = SamplingSection()
    augment: AugmentSection = AugmentSection()
    ema: EmaSection = EmaSection()
    schedule: ScheduleSection = ScheduleSection()
    folds: FoldsSection = FoldsSection()
    card: CardSection = CardSection()

    @model_validator(mode="after")
    def _crop_fits_shift(self) -> Recipe:
        if self.augment.shift_um >= self.backbone.crop_um / 2:
            raise ValueError(
                f"augment.shift_um {self.augment.shift_um:g} moves the figure out of a crop of "
                f"{self.backbone.crop_um:g} um; use less than half of it"
            )
        return self

    @model_validator(mode="after")
    def _components_can_work(self) -> Recipe:
        for name, loss in self.losses():
            minimum, reason = loss.min_batch
            if self.schedule.batch_size < minimum:
                raise ValueError(
                    f"{name}.weight {loss.weight:g} with schedule.batch_size "
                    f"{self.schedule.batch_size}: too small {reason}; use at least {minimum}, or "
                    f"{name}.weight = 0"
                )
            if loss.trains_backbone and not self.adapter.trains_backbone:
                raise ValueError(
                    f"{name}.weight {loss.weight:g} with adapter.kind {self.adapter.kind!r}: a "
                    "frozen backbone cannot learn from this loss; use lora or full, or "
                    f"{name}.weight = 0"
                )
        if self.distillation.teachers and not self.adapter.trains_backbone:
            raise ValueError(
                f"distillation.teachers with adapter.kind {self.adapter.kind!r}: each figure is "
                "embedded once, and teachers score the crops of every step; use lora or full, or "
                "leave the teachers out"
            )
        if self.backbone.tta_views > 1 and not self.adapter.trains_backbone:
            raise ValueError(
                f"backbone.tta_views {self.backbone.tta_views} with adapter.kind "
                f"{self.adapter.kind!r}: each figure is embedded once, in one orientation; use "
                "lora or full, or backbone.tta_views = 1"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, values: Any) -> Any:
        return with_current_names(values) if isinstance(values, dict) else values

    def components(self) -> list[tuple[str, Component]]:
        """Return all components with requirements on the figures, by section name."""
        return [(name, part) for name, part in self if isinstance(part, Component)]

    def losses(self) -> list[tuple[str, LossComponent]]:
        """Return the auxiliary losses that are on, by section name."""
        parts = [(name, part) for name, part in self if isinstance(part, LossComponent)]
        return [(name, part) for name, part in parts if part.weight]

    def was_asked_for(self, key: str) -> bool:
        """Return whether the user set `section.key`, in a file or with --set.

        A component that cannot work is switched off if it was on only because a recipe of atypia
        has it on; one that the user asked for is refused.
        """
        section, _, name = key.partition(".")
        return name in getattr(self, section).model_fields_set

    def with_asked(self, asked: Mapping[str, Any] | None = None) -> Recipe:
        """Return the recipe without the marks of values that the user did not ask for.

        Args:
            asked: section -> the values that the user asked for; None removes all marks.
        """
        sections = {name: part.model_copy() for name, part in self if isinstance(part, BaseModel)}
        for name, part in sections.items():
            part.model_fields_set.intersection_update((asked or {}).get(name, {}))
        return self.model_copy(update=sections)

    def __repr__(self) -> str:
        defaults = Recipe().model_dump(exclude={"card"})
        changes = []
        for key, value in self.model_dump(exclude={"card"}).items():
            section = isinstance(value, dict)
            parts = value if section else {key: value}
            before = defaults[key] if section else defaults
            place = f"{key}." if section else ""
            changes += [f"{place}{name}={of!r}" for name, of in parts.items() if of != before[name]]
        return f"Recipe({', '.join(changes) or 'all defaults'})"

    __str__ = __repr__

    def value(self, key: str) -> Any:
        """Return the value of `section.key`."""
        section, _, name = key.partition(".")
        return getattr(getattr(self, section), name)

    def with_value(self, key: str, value: Any) -> Recipe:
        """Return the recipe with another value of `section.key`, not marked as asked for."""
        section, _, name = key.partition(".")
        part = getattr(self, section).model_copy(update={name: value})
        part.model_fields_set.discard(name)
        return self.model_copy(update={section: part})


def loss_components() -> dict[str, type[LossComponent]]:
    """Return the classes of all auxiliary losses, by section name."""
    kinds = {name: field.annotation for name, field in Recipe.model_fields.items()}
    return {
        name: kind
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, LossComponent)
    }


def deciding_values(recipe: Recipe) -> dict[str, Any]:
    """Return all values that decide a training, by `key` or `section.key`, as plain JSON values.

    The card's are left out, and the places of teachers: their content decides. A renamed key has
    its first name, so that records of earlier trainings still agree.
    """
    values = recipe.model_dump(mode="json", exclude={"card": True, "distillation": {"teachers"}})
    sections = {key: value for key, value in values.items() if isinstance(value, dict)}
    inner = {f"{key}.{name}": sections[key][name] for key in sections for name in sections[key]}
    plain = {key: value for key, value in values.items() if key not in sections}
    return {_first_name(key): value for key, value in (plain | inner).items()}


def _first_name(key: str) -> str:
    first = {new: old for old, new in OLD_NAMES.items()}
    section, dot, name = first.get(key, key).partition(".")
    return first.get(section, section) + dot + name


def current_name(key: str) -> str:
    """Return the current name of a section or a `section.key`.

    An old name is logged as a warning, once.
    """
    section, dot, name = key.partition(".")
    current = OLD_NAMES.get(key) or OLD_NAMES.get(section, section) + dot + name
    if current != key:
        _warn_of_old_name(key, current)
    return current


@functools.cache
def _warn_of_old_name(key: str, current: str) -> None:
    _log.warning("%s is now called %s; the old name is still read", key, current)


def with_current_names(values: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """Return values by their current names.

    Raises:
        ValueError: a value has both its old and its new name.
    """
    renamed: dict[str, Any] = {}
    for name, value in values.items():
        current = current_name(f"{section}{name}").removeprefix(section)
        if current in renamed:
            raise ValueError(f"{section}{current} is also set by its old name; keep one of the two")
        in_section = not section and isinstance(value, dict)
        renamed[current] = with_current_names(value, f"{current}.") if in_section else value
    return renamed
