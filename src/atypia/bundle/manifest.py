"""The manifest of a bundle: which network it is and how a crop must be presented to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from atypia.errors import BundleError, OptionError, abbreviate
from atypia.files import parse_json
from atypia.models.adapter_config import AdapterConfig

FORMAT_VERSION: Literal[1] = 1
MANIFEST_NAME = "bundle.json"
CALIBRATION_NAME = "calibration.json"
CARD_NAME = "card.md"
SUMS_NAME = "sha256sums"
#: Folder of the exported network: made of the bundle, and no part of what identifies it.
EXPORTED_NAME = "exported"

# Nothing else is a member's path: no '..', no absolute path, no file of another kind.
_MEMBER = re.compile(r"members/(0|[1-9][0-9]*)\.safetensors")

Channels = tuple[float, float, float]

# A rule as bundles called it before rules had keys.
_POOLING_BEFORE = {"mean over positions of the last feature map": "mean"}


class BundleManifest(BaseModel):
    """What `bundle.json` holds.

    Raises:
        pydantic.ValidationError: a field is missing, unknown or out of range.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format_version: Annotated[Literal[1], Field(description="version of the folder's format")] = (
        FORMAT_VERSION
    )
    name: Annotated[
        str, Field(min_length=1, max_length=100, description="the name people call it by")
    ]
    backbone: Annotated[str, Field(min_length=1, description="key in the registry of backbones")]
    adapter: Annotated[AdapterConfig, Field(description="which part of the backbone is saved")]
    pooling: Annotated[str, Field(min_length=1, description="how the embedding is read off")]
    crop_um: Annotated[float, Field(gt=0, description="side of a crop in tissue, um")]
    input_px: Annotated[int, Field(ge=8, le=4096, description="side of a crop in the network, px")]
    views: Annotated[
        Literal[1, 2, 4, 8],
        Field(description="symmetries of a crop that the network sees; their logits are averaged"),
    ] = 1
    training_mpp: Annotated[
        tuple[float, float],
        Field(description="lowest and highest resolution of the training crops, um/px"),
    ]
    mean: Annotated[Channels, Field(description="normalisation, per channel of RGB in [0, 1]")]
    std: Annotated[Channels, Field(description="likewise")]
    dropout: Annotated[float, Field(ge=0, lt=1, description="on the embedding, in training")] = 0.0
    classes: Annotated[
        tuple[Literal["normal"], Literal["atypical"]],
        Field(description="order of the classes: 0, 1"),
    ] = ("normal", "atypical")
    phases: Annotated[
        tuple[str, ...], Field(description="order of the phase head's classes; empty without one")
    ] = ()
    weights_sha256: Annotated[
        str,
        Field(
            pattern=r"^([0-9a-f]{64})?$",
            description="of the file of the backbone's weights, which lies outside of the bundle",
        ),
    ] = ""
    members: Annotated[
        tuple[str, ...],
        Field(min_length=1, description="files of weights; several are an ensemble"),
    ]

    @field_validator("pooling")
    @classmethod
    def _pooling_has_a_key(cls, pooling: str) -> str:
        return _POOLING_BEFORE.get(pooling, pooling)

    @field_validator("members")
    @classmethod
    def _members_stay_inside(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        for member in members:
            if not _MEMBER.fullmatch(member):
                raise ValueError(f"{member!r} must look like 'members/0.safetensors'")
        if len(set(members)) < len(members):
            raise ValueError("a file is listed twice")
        return members

    @model_validator(mode="after")
    def _ranges_are_ranges(self) -> Self:
        low, high = self.training_mpp
        if not 0 < low <= high:
            raise ValueError(f"training_mpp {low} to {high} must be above 0, the lower first")
        if min(self.std) <= 0:
            raise ValueError(f"std {self.std} must be above 0")
        return self

    @property
    def assumed_mpp(self) -> float:
        """The um/px taken for an image of which none is known: the middle of the training range."""
        return sum(self.training_mpp) / 2

    def first_members(self, count: int | None) -> tuple[str, ...]:
        """Return the first `count` members, all of them for None.

        Raises:
            OptionError: the bundle has fewer.
        """
        if count is not None and not 1 <= count <= len(self.members):
            raise OptionError("members", count, f"{self.name} holds 1 to {len(self.members)}")
        return self.members[:count]


def member_names(count: int) -> tuple[str, ...]:
    """Return the paths of `count` members, relative to the bundle."""
    return tuple(f"members/{index}.safetensors" for index in range(count))


def read_manifest(folder: Path) -> BundleManifest:
    """Read and validate a bundle's manifest; its hash is not compared.

    Raises:
        BundleError: the file is missing, is no JSON, is of a newer format or has a faulty field.
    """
    path = folder / MANIFEST_NAME
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as fault:
        raise BundleError(
            f"{path}: not found; give the folder of a bundle, as `atypia train` writes it"
        ) from fault
    except (OSError, ValueError) as fault:
        raise BundleError(
            f"{path}: cannot be read as JSON; fetch or train the bundle again"
        ) from fault
    version = content.get("format_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BundleError(
            f"{path}: has format version {abbreviate(version)}, but this atypia reads up to "
            f"{FORMAT_VERSION}; install a newer atypia"
        )
    try:
        return BundleManifest.model_validate(content)
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(map(str, first["loc"]))[:60] or "the whole"
        more = f" (and {fault.error_count() - 1} more)" if fault.error_count() > 1 else ""
        raise BundleError(
            f"{path}: {where}: {first['msg']}{more}; fetch or train the bundle again"
        ) from fault
