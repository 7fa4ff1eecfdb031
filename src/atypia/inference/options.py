"""The options of a prediction: each stands here once, with its help, for the command and Python."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from atypia.errors import AtypiaError, OptionError, abbreviate, suggest_name
from atypia.models.devices import Device

Precision = Literal["fp32", "bf16"]

_NO_RUNTIMES = ("base", "choice")


def runtime_keys() -> tuple[str, ...]:
    """Return the keys of all runtimes, sorted: the names of the files in `runtimes/`."""
    modules = pkgutil.iter_modules([str(Path(__file__).with_name("runtimes"))])
    return tuple(sorted(module.name for module in modules if module.name not in _NO_RUNTIMES))


if TYPE_CHECKING:
    RuntimeKey = str
else:
    RuntimeKey = Literal[("auto", *runtime_keys())]


def _option(
    default: Any, description: str, *, expected: str = "", metavar: str = "", **bounds: Any
) -> Any:
    """Return a field with its help, what is expected in words, and what stands for its value."""
    words: dict[str, Any] = {"expected": expected, "metavar": metavar}
    return Field(default, description=description, json_schema_extra=words, **bounds)


def read_words(field: FieldInfo) -> dict[str, str]:
    """Return `expected` and `metavar` of an option, "" where there is none."""
    extra = field.json_schema_extra
    return {name: str(word) for name, word in extra.items()} if isinstance(extra, dict) else {}


class PredictOptions(BaseModel):
    """Which bundle classifies, and how it runs.

    Raises:
        OptionError: a value is of another type or out of range.
        AtypiaError: there is no such option; the nearest is offered.

    Example:
        >>> PredictOptions(device="cpu", members=1).changed
        {'device': 'cpu', 'members': 1}
    """

    # Built when it is first used: `atypia --help` reads the help alone.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    bundle: Path | None = _option(
        None,
        "Folder of a bundle, as written by `atypia train`. Default: the one that comes with "
        "atypia.",
        metavar="DIR",
        expected="the folder of a bundle",
    )
    weights: Path | None = _option(
        None,
        "Published weights of the backbone, as downloaded by `atypia models fetch`. Default: the "
        "Hugging Face cache.",
        metavar="FILE_OR_DIR",
        expected="a file or folder of weights",
    )
    device: Device = _option("auto", "Device that runs the network.")
    precision: Literal["auto", "fp32", "bf16"] = _option(
        "auto", "Number format. auto: bf16 if it is faster than fp32 on this machine."
    )
    runtime: RuntimeKey = _option(
        "auto",
        f"Library that runs the network: {', '.join(runtime_keys())}. auto: torch on a GPU; on a "
        "CPU, the fastest one installed if the bundle has been exported (`atypia bundle export`).",
        metavar="RUNTIME",
    )
    threads: int | None = _option(
        None, "CPU threads. Default: all cores.", metavar="N", ge=1, expected="1 or more"
    )
    members: int | None = _option(
        None,
        "Use only the first N ensemble members (faster).",
        metavar="N",
        ge=1,
        expected="1 or more",
    )
    batch_size: int | None = _option(
        None,
        "Figures per batch. Default: 24 on a CPU, 256 on a GPU.",
        metavar="N",
        ge=1,
        expected="1 or more",
    )
    prevalence: float | None = _option(
        None,
        "Share of atypical figures where you work, above 0 and below 1. P(atypical) is corrected "
        "for it; calls and referrals stay the same.",
        metavar="SHARE",
        gt=0,
        lt=1,
        expected="the share of atypical figures, above 0 and below 1",
    )

    scope: Literal["image", "off"] = _option(
        "image",
        "Whether crops are told apart that nobody can classify. image: those without tissue, under "
        "ink or out of focus are out of scope, and referred to a person; off: none.",
    )

    align_to: Path | None = _option(
        None,
        "Predictions of this bundle for 50 or more figures of your laboratory, labelled or not, "
        "from as many cases as you have. P(atypical) moves half of the way that their mean lies "
        "from that of training: fewer wrong calls where the bundle was not trained.",
        metavar="TABLE",
        expected="a predictions table",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _explain_faults(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(values)
        except ValidationError as fault:
            raise _explain(fault) from None

    def updated(self, changes: Mapping[str, object]) -> Self:
        """Return these options with some changed, by their names.

        Raises:
            AtypiaError: as for the class.
        """
        return type(self).model_validate(self.changed | dict(changes)) if changes else self

    @property
    def changed(self) -> dict[str, Any]:
        """The options that differ from what is taken without them, by their names."""
        fields = type(self).model_fields.items()
        values = {name: (getattr(self, name), field.default) for name, field in fields}
        return {name: value for name, (value, default) in values.items() if value != default}

    @property
    def read_files(self) -> tuple[Path, ...]:
        """The files beside the bundle that decide a result: a table to align to, and its record."""
        from atypia.inference.record import record_path

        return () if self.align_to is None else (self.align_to, record_path(self.align_to))

    @property
    def folder(self) -> Path:
        """Folder of the bundle: that which is named, else that which comes with atypia.

        Raises:
            AtypiaError: none is named, and the one that comes with atypia is missing.
        """
        from atypia.bundle.default import default_bundle

        return default_bundle() if self.bundle is None else self.bundle


class RuntimeKeywords(TypedDict, total=False):
    """How a bundle runs, as keywords; their help stands in `PredictOptions`."""

    weights: Path | str | None
    device: Device
    precision: Literal["auto", "fp32", "bf16"]
    runtime: RuntimeKey
    threads: int | None
    members: int | None
    batch_size: int | None
    prevalence: float | None
    align_to: Path | str | None
    scope: Literal["image", "off"]


class PredictKeywords(RuntimeKeywords, total=False):
    """All options of a prediction as keywords; their help stands in `PredictOptions`."""

    bundle: Path | str | None


def _explain(fault: ValidationError) -> AtypiaError:
    """Return the first fault in words: the option, its value, what was expected."""
    first = fault.errors()[0]
    name = str(first["loc"][0])
    fields = PredictOptions.model_fields
    if name not in fields:
        return AtypiaError(
            f"{name}: is no option of a prediction; the options are {', '.join(fields)}"
            f"{suggest_name(name, fields)}"
        )
    expected = read_words(fields[name])["expected"] or f"one of {first['ctx']['expected']}"
    return OptionError(name, abbreviate(first["input"]), f"expected {expected}")
