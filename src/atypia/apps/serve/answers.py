"""What the routes answer: the names and values of the files that `atypia predict` writes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from atypia.bundle.load import Bundle
from atypia.data.columns import MPP_HIGH, MPP_LOW
from atypia.data.images import MAX_SIDE_PX, MIN_SIDE_PX


class Answer(BaseModel):
    """What a route answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassifiedCrop(Answer):
    """A row of the predictions table, or why there is none."""

    figure_id: Annotated[str, Field(description="Name of the file, as it was sent.")]
    image: Annotated[str, Field(description="Likewise.")]
    p_atypical: Annotated[float | None, Field(ge=0, le=1, description="P(atypical), calibrated.")]
    call: Annotated[
        Literal["normal", "atypical"] | None,
        Field(description="By the bundle's operating point."),
    ]
    refer: Annotated[
        bool | None, Field(description="Let a person look: neither class is certain enough.")
    ]
    spread: Annotated[
        float | None,
        Field(ge=0, description="Standard deviation over members; null where there is one."),
    ]
    phase: Annotated[str, Field(description='"" where the bundle knows none.')]
    in_scope: Annotated[
        bool | None,
        Field(description="False of a crop without tissue, under ink or out of focus."),
    ]
    scope_reason: Annotated[str, Field(description='Why it is out of scope; else "".')]
    error: Annotated[
        str | None, Field(description="Why the crop could not be used; all above is then empty.")
    ] = None

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> ClassifiedCrop:
        """Return a row of the predictions table; NaN is null in JSON."""
        values = {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in row.items()
        }
        return cls(**values)

    @classmethod
    def of_failure(cls, figure_id: str, message: str) -> ClassifiedCrop:
        """Return the answer of a crop that could not be used."""
        return cls(
            figure_id=figure_id,
            image=figure_id,
            p_atypical=None,
            call=None,
            refer=None,
            spread=None,
            phase="",
            in_scope=None,
            scope_reason="",
            error=message,
        )


class Limits(Answer):
    """What a request may hold."""

    files: Annotated[int, Field(description="Crops in a request.")]
    bytes: Annotated[int, Field(description="Size of a request.")]
    crop_px: Annotated[tuple[int, int], Field(description="Side of a crop, lowest and highest.")]
    mpp: Annotated[tuple[float, float], Field(description="um/px, lowest and highest.")]
    points: Annotated[int, Field(description="Points on a slide.")]


class BundleFacts(Answer):
    """What classifies."""

    name: str
    sha256: Annotated[str, Field(description="Of the bundle.")]
    members: int
    crop_um: Annotated[float, Field(description="Side of a crop in tissue, um.")]
    training_mpp: Annotated[
        tuple[float, float], Field(description="Resolution of the training crops, um/px.")
    ]
    operating_point: Annotated[
        float, Field(description="P above which a figure is called atypical.")
    ]
    refer: Annotated[tuple[float, float], Field(description="P between which it is referred.")]
    prevalence: Annotated[
        float | None, Field(description="Share of atypical figures that P is right for.")
    ]
    card: Annotated[str, Field(description="The model card, Markdown.")]
    limits: Limits

    @classmethod
    def of(cls, bundle: Bundle, members: int, limits: Limits) -> BundleFacts:
        """Return the facts of a bundle."""
        calibration = bundle.calibration
        return cls(
            name=bundle.manifest.name,
            sha256=bundle.sha256,
            members=members,
            crop_um=bundle.manifest.crop_um,
            training_mpp=bundle.manifest.training_mpp,
            operating_point=calibration.operating_point,
            refer=(calibration.refer_low, calibration.refer_high),
            prevalence=calibration.prevalence,
            card=(bundle.folder / "card.md").read_text(encoding="utf-8"),
            limits=limits,
        )


class Health(Answer):
    """The server answers."""

    status: Literal["ok"] = "ok"
    waiting: Annotated[int, Field(description="Crops that have no answer yet.")]


class Version(Answer):
    """What runs."""

    atypia: str
    runtime: str
    device: str
    precision: str


class Refusal(Answer):
    """Why a request was refused, and what to do."""

    detail: str


def make_limits(files: int, size: int, points: int) -> Limits:
    """Return the limits of a server."""
    return Limits(
        files=files,
        bytes=size,
        crop_px=(MIN_SIDE_PX, MAX_SIDE_PX),
        mpp=(MPP_LOW, MPP_HIGH),
        points=points,
    )
