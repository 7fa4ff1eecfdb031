"""The recipe: everything that decides a training, in one validated TOML file.

One section a component, named as in the method's description; a section that is left out keeps
its defaults. `--set section.key=value` changes one value.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from atypia.errors import RecipeError, abbreviate
from atypia.files import shipped_folder
from atypia.models.adapter_config import AdapterConfig

# Half a batch is shown twice; with fewer figures it seldom holds a pair of one class.
SMALLEST_METRIC_GROUP = 4

_NAMED_FAULTS = 20

Share = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["32-true", "bf16-mixed"]


class Section(BaseModel):
    """A section of the recipe: unknown keys are refused, values are not changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BackboneSection(Section):
    """What the network is and what it sees."""

    key: str = Field("lite", description="a key of `atypia models list`")
    crop_um: float = Field(16.0, ge=2, le=256, description="side of the crop in tissue, um")
    input_px: int = Field(128, ge=16, le=1024, description="side of the crop for the network, px")
    views: Literal[1, 2, 4, 8] = Field(
        1, description="symmetries of a crop that prediction looks at; their logits are averaged"
    )
    pretrained: bool = Field(True, description="start from the published weights")


class HeadSection(Section):
    """The head that gives P(atypical)."""

    dropout: float = Field(0.2, ge=0, lt=1, description="dropout on the embedding")


class SoftLabelsSection(Section):
    """The target: what the experts say together."""

    method: Literal["fraction", "majority", "dawid-skene"] = Field(
        "fraction",
        description="share of votes for atypical, what most say, or experts weighed by skill",
    )
    smoothing: float = Field(0.0, ge=0, le=0.5, description="targets are drawn this far to 0.5")


class MixupSection(Section):
    """MixUp: crops and targets interpolated (Zhang et al. 2018)."""

    alpha: float = Field(0.2, ge=0, le=10, description="lambda ~ Beta(alpha, alpha); 0 is off")


class HardNegativesSection(Section):
    """Normal figures that look atypical to the network are shown more often."""

    times: float = Field(1.0, ge=1, le=20, description="so many times as often; 1 is off")
    share: float = Field(0.2, gt=0, le=1, description="of the unanimous normal figures are hard")
    momentum: float = Field(0.5, ge=0, lt=1, description="of the moving average of their scores")


class FocalSection(Section):
    """The focal loss for soft targets, and its adaptive part (AdaFocal, Ghosh et al. 2022)."""

    gamma: float = Field(0.0, ge=0, le=10, description="|y - p|^gamma; 0 is cross-entropy")
    adaptive: bool = Field(False, description="gamma follows the calibration of confidence bins")
    bins: int = Field(5, ge=2, le=50, description="adaptive: bins of equal counts")
    rate: float = Field(1.0, gt=0, le=10, description="adaptive: gamma grows by exp(rate * error)")
    set_aside: float = Field(
        0.1, gt=0, le=0.5, description="adaptive: share of the cases kept to measure it on"
    )
    beta: float = Field(
        0.0, ge=0, lt=1, description="weights by effective number (Cui et al. 2019); 0 is off"
    )


class MetricSection(Section):
    """Supervised contrastive loss (Khosla et al. 2020), positives from other slides only."""

    weight: float = Field(0.0, ge=0, le=10, description="of the loss; 0 is off")
    temperature: float = Field(0.1, gt=0, le=10, description="of the similarities")


class DomainSection(Section):
    """Domain head behind a gradient reversal (Ganin 2016), conditioned on the class (Long 2018)."""

    weight: float = Field(0.0, ge=0, le=10, description="of the loss; 0 is off")


class PhaseSection(Section):
    """Auxiliary head on the experts' phase labels, shown with every prediction."""

    weight: float = Field(0.0, ge=0, le=10, description="of the loss; 0 is off")


class SamplingSection(Section):
    """What an epoch holds: the balance over classes and domains."""

    class_balance: Share = Field(0.5, description="0: as in the data, 1: both classes alike")
    domain_balance: Share = Field(0.5, description="0: as in the data, 1: all domains alike")


class AugmentSection(Section):
    """Geometry and stain."""

    rotate: bool = Field(True, description="any rotation; off: multiples of 90 degrees")
    scale: float = Field(0.15, ge=0, le=0.5, description="size changes by up to this share")
    shift_um: float = Field(0.8, ge=0, le=10, description="the centre moves by up to this, um")
    stain: float = Field(
        0.2, ge=0, le=1, description="haematoxylin and eosin strengths change by up to this share"
    )
    brightness: float = Field(0.1, ge=0, le=0.5, description="light changes by up to this share")
    blur: Share = Field(0.1, description="share of the crops that are blurred")
    jpeg: Share = Field(0.1, description="share of the crops that are compressed again")


class EmaSection(Section):
    """Weights averaged over training (timm's ModelEmaV3)."""

    decay: float = Field(0.995, ge=0, lt=1, description="0 is off")


class ScheduleSection(Section):
    """How long and how fast."""

    epochs: int = Field(12, ge=1, le=10_000, description="times as many draws as there are figures")
    least_steps: int = Field(
        300, ge=1, le=10**7, description="a small set is shown more often, until so many steps"
    )
    batch_size: int = Field(64, ge=2, le=65_536, description="figures in a step")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="peak, of AdamW")
    head_learning_rate: float = Field(2e-3, gt=0, le=1, description="peak, of the head")
    weight_decay: float = Field(0.02, ge=0, le=1, description="of AdamW, on matrices only")
    warmup: Share = Field(0.1, description="share of the steps that the rate rises")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    precision: Precision = Field(
        "bf16-mixed", description="of the network; a CPU without bf16 takes 32-true"
    )
    gradient_checkpointing: bool = Field(
        False, description="compute activations again for the gradient: less memory, more time"
    )


class FoldsSection(Section):
    """Members, and scores for figures that their member has not seen."""

    count: int = Field(5, ge=2, le=100, description="folds, grouped by case")
    scheme: Literal["slides", "domains"] = Field(
        "slides", description="slides: grouped, stratified folds; domains: each domain left out"
    )
    members: int = Field(
        1, ge=1, le=20, description="networks without each part; the mean of their logits is scored"
    )
    left_out_domains: bool = Field(
        False, description="also train without each domain: to judge, and to calibrate the bundle"
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
    """What the bundle's card says of the figures; it decides nothing of the training."""

    data: str = Field("", description="where the figures are from, and who labelled them")
    licence: str = Field("", description="of the figures, and of what was trained on them")


class Recipe(Section):
    """A training, whole."""

    name: str = Field("unnamed", description="stands in the bundle's card")
    seed: int = Field(0, ge=0, lt=2**31, description="decides every random draw")
    backbone: BackboneSection = BackboneSection()
    adapter: AdapterConfig = AdapterConfig()
    head: HeadSection = HeadSection()
    soft_labels: SoftLabelsSection = SoftLabelsSection()
    mixup: MixupSection = MixupSection()
    hard_negatives: HardNegativesSection = HardNegativesSection()
    focal: FocalSection = FocalSection()
    metric: MetricSection = MetricSection()
    domain: DomainSection = DomainSection()
    phase: PhaseSection = PhaseSection()
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
                f"{self.backbone.crop_um:g} um; give less than half of it"
            )
        return self

    @model_validator(mode="after")
    def _components_can_work(self) -> Recipe:
        least = 2 * SMALLEST_METRIC_GROUP
        if self.metric.weight and self.schedule.batch_size < least:
            raise ValueError(
                f"metric.weight {self.metric.weight:g} with schedule.batch_size "
                f"{self.schedule.batch_size}: too small to hold pairs of one class from two "
                f"slides; give at least {least}, or metric.weight = 0"
            )
        if self.backbone.views > 1 and self.adapter.kind == "linear":
            raise ValueError(
                f"backbone.views {self.backbone.views} with adapter.kind 'linear': each figure is "
                "embedded once, as it lies; use lora or full, or backbone.views = 1"
            )
        for name, section in (("metric", self.metric), ("domain", self.domain)):
            if section.weight and self.adapter.kind == "linear":
                raise ValueError(
                    f"{name}.weight {section.weight:g} with adapter.kind 'linear': a frozen "
                    f"backbone cannot follow this loss; use lora or full, or {name}.weight = 0"
                )
        return self

    def asks_for(self, key: str) -> bool:
        """Tell whether somebody set `section.key`: in a file or with --set, not atypia's recipes.

        A component that is on because a recipe of atypia has it on may step back where it cannot
        work; one that was asked for is refused there.
        """
        section, _, name = key.partition(".")
        return name in getattr(self, section).model_fields_set

    def unasked(self, asked: Mapping[str, Any] | None = None) -> Recipe:
        """Return the recipe as one in which nobody asked for anything but some values.

        Args:
            asked: section -> its values that somebody asked for; none for nothing.
        """
        sections = {name: part.model_copy() for name, part in self if isinstance(part, BaseModel)}
        for name, part in sections.items():
            part.model_fields_set.intersection_update((asked or {}).get(name, {}))
        return self.model_copy(update=sections)

    def value(self, key: str) -> Any:
        """Return the value of `section.key`."""
        section, _, name = key.partition(".")
        return getattr(getattr(self, section), name)

    def changed(self, key: str, value: Any) -> Recipe:
        """Return the recipe with another value of `section.key`, which nobody asked for."""
        section, _, name = key.partition(".")
        part = getattr(self, section).model_copy(update={name: value})
        part.model_fields_set.discard(name)
        return self.model_copy(update={section: part})


def read_recipe(source: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        source: a TOML file, or the name of a recipe that comes with atypia.
        changes: `section.key=value`, the value as in TOML (a bare word is taken as text).

    Raises:
        RecipeError: no such recipe; not TOML; an unknown key; a value out of range.
    """
    path = _find(str(source))
    values = read_toml(path)
    asked: dict[str, Any] = {} if path in recipe_files().values() else values
    for change in changes:
        _set(values, change)
        if asked is not values:
            _set(asked, change)
    return check_recipe(values, str(path)).unasked(asked)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file, with or without a byte order mark.

    Raises:
        RecipeError: it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as fault:
        raise RecipeError(f"{path}: cannot be read ({fault.strerror})") from fault
    except RecursionError:
        raise RecipeError(f"{path}: is nested too deeply for a recipe") from None
    except ValueError as fault:  # no UTF-8, no TOML, or a number of thousands of digits
        raise RecipeError(f"{path}: is not a TOML file ({fault})") from None


def check_recipe(values: Mapping[str, Any], named: str) -> Recipe:
    """Validate a recipe's values; all faults are reported at once.

    Raises:
        RecipeError: one line a fault, each with the key, the value and what was expected.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as faults:
        raise RecipeError(
            list_faults(_explain(fault, named) for fault in faults.errors())
        ) from None


def list_faults(lines: Iterable[str]) -> str:
    """Return faults, one a line, and the number of those beyond the first 20."""
    lines = list(lines)
    more = len(lines) - _NAMED_FAULTS
    return "\n".join([*lines[:_NAMED_FAULTS], *([f"... and {more} more"] if more > 0 else [])])


def recipe_files(kind: str = ".") -> dict[str, Path]:
    """Return the recipes that come with atypia, by name.

    Args:
        kind: a folder inside that of the recipes, such as "ablation" for plans.
    """
    folder = shipped_folder("recipes")
    if folder is None:
        return {}
    return {path.stem: path for path in sorted((folder / kind).glob("*.toml"))}


def deciding_values(recipe: Recipe) -> dict[str, Any]:
    """Return all that decides a training, by `key` or `section.key`, plain as JSON gives it back.

    What the card says is left out.
    """
    values = recipe.model_dump(mode="json", exclude={"card"})
    sections = {key: value for key, value in values.items() if isinstance(value, dict)}
    inner = {f"{key}.{name}": sections[key][name] for key in sections for name in sections[key]}
    return {key: value for key, value in values.items() if key not in sections} | inner


def to_toml(recipe: Recipe) -> str:
    """Write a recipe out in full, every value with its meaning."""
    return "\n".join(_toml_lines(recipe)) + "\n"


def _find(source: str) -> Path:
    if is_file(source):
        return Path(source)
    known = recipe_files()
    if source in known:
        return known[source]
    near = difflib.get_close_matches(source, known, n=1)
    offer = f"; did you mean {near[0]!r}?" if near else ""
    raise RecipeError(
        f"recipe {abbreviate(source)} is neither a file nor one that comes with atypia{offer} "
        f"(known: {', '.join(known)})"
    )


def is_file(source: str) -> bool:
    """Tell whether there is a file of this name; what cannot be a file's name is none."""
    try:
        return Path(source).is_file()
    except OSError:  # too long
        return False


def _set(values: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise RecipeError(
            f"--set {abbreviate(change)}: expected section.key=value, e.g. schedule.epochs=20"
        )
    try:
        value = _value(text)
    except RecursionError:
        raise RecipeError(f"--set {abbreviate(change)}: is nested too deeply") from None
    *sections, last = key.strip().split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise RecipeError(
                f"--set {abbreviate(change)}: {abbreviate(section)} is a value, not a section"
            )
    place[last] = value


def _value(text: str) -> Any:
    """Return a value as in TOML; what is none, or more than one, is text."""
    try:
        values = tomllib.loads(f"value = {text}")
    except ValueError:
        return text.strip()
    return values["value"] if len(values) == 1 else text.strip()


def _explain(fault: Any, named: str) -> str:
    where = [str(part) for part in fault["loc"]]
    key = ".".join(where) or "recipe"
    if fault["type"] == "extra_forbidden":
        known = _keys(where[:-1])
        elsewhere = [k for k in _all_keys() if k.split(".")[-1] == where[-1]]
        near = elsewhere[:1] or difflib.get_close_matches(where[-1], known, n=1, cutoff=0.4)
        offer = f"did you mean {near[0]!r}? " if near else ""
        return f"{named}: unknown key {abbreviate(key)}; {offer}(known here: {', '.join(known)})"
    if fault["type"] == "value_error":
        return f"{named}: {fault['ctx']['error']}"
    message = str(fault["msg"])
    return f"{named}: {key} is {abbreviate(fault['input'])}; {message[0].lower()}{message[1:]}"


def _keys(sections: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Recipe
    for section in sections:
        kind = model.model_fields[section].annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return []
        model = kind
    return list(model.model_fields)


def _all_keys() -> Iterator[str]:
    for name, field in Recipe.model_fields.items():
        yield name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{name}.{key}" for key in field.annotation.model_fields)


def _toml_lines(model: BaseModel) -> Iterator[str]:
    """Yield a model's own values first, then its sections, as TOML asks."""
    fields = type(model).model_fields
    for name, field in fields.items():
        value = getattr(model, name)
        if not isinstance(value, BaseModel):
            yield f"{_toml_value(name, value):<36} # {_meaning(field)}"
    for name in fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield f"\n[{name}]"
            yield from _toml_lines(value)


def _toml_value(name: str, value: object) -> str:
    if value is None:
        return f"# {name} ="
    if isinstance(value, bool):
        return f"{name} = {str(value).lower()}"
    if isinstance(value, str):
        # JSON leaves one control character as it is that TOML does not allow.
        text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        return f"{name} = {text}"
    return f"{name} = {value!r}"


def _meaning(field: Any) -> str:
    choices = [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
    listed = f" ({', '.join(choices)})" if choices else ""
    return f"{field.description or ''}{listed}"
