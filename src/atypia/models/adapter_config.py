"""The `adapter` section of recipes and bundles; read without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class AdapterConfig(BaseModel):
    """The `adapter` section of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Annotated[
        Literal["full", "lora", "linear"],
        Field(description="what is trained of the backbone: all, a low-rank addition, nothing"),
    ] = "full"
    rank: Annotated[int, Field(ge=1, le=1024, description="lora: rank of the addition")] = 8
    alpha: Annotated[
        int, Field(ge=1, description="lora: the addition is scaled by alpha / rank")
    ] = 16
    dropout: Annotated[float, Field(ge=0, lt=1, description="lora: dropout on its input")] = 0.1
    target: Annotated[
        str | None,
        Field(description="lora: regular expression of layer names; none takes the backbone's own"),
    ] = None

    @property
    def trains_backbone(self) -> bool:
        """Whether anything below the heads is trained; else each figure can be embedded once."""
        return self.kind != "linear"

    @property
    def keeps_backbone(self) -> bool:
        """Whether all of the backbone is trained, so that a bundle must hold it."""
        return self.kind == "full"
