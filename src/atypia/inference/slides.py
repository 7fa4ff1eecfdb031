"""Points on a slide as figures to classify, and their predictions given back to QuPath."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from atypia.data.points.qupath import (
    Finding,
    Json,
    Objects,
    ObjectType,
    new_features,
    with_findings,
    write_features,
)
from atypia.data.points.table import Points
from atypia.data.slides import Slide
from atypia.evaluation.predictions import CALLS
from atypia.inference.reading import window_um
from atypia.inference.sinks import Write
from atypia.inference.sources import Reader, Source

NORMAL, ATYPICAL, REFER = "Normal mitosis", "Atypical mitosis", "Refer"
# Told apart by people who do not tell red from green, as in the report.
COLOURS = {NORMAL: (0, 114, 178), ATYPICAL: (213, 94, 0), REFER: (230, 159, 0)}


def class_name(call: str, refer: bool) -> str:
    """Return the class that a call and a referral make: a referred figure is neither."""
    return REFER if refer else ATYPICAL if call == CALLS[1] else NORMAL


def is_qupath(out: Path) -> bool:
    """Tell whether a file's name is that of a GeoJSON."""
    return out.name.lower().endswith((".geojson", ".geojson.gz"))


def slide_source(slide: Slide, points: Points, *, crop_um: float, input_px: int) -> Source:
    """Make a source of the points of a slide.

    Args:
        slide: is left open while figures are read.
        points: on it.
        crop_um: side of the crop, um.
        input_px: side of the crop for the network, px; decides the level that is read.
    """
    level = slide.level_for(crop_um / input_px)
    mpp = slide.level_mpp[level]
    side_um = window_um(crop_um, mpp)
    frame = points.frame
    places = list(zip(frame["x"].tolist(), frame["y"].tolist(), strict=True))

    def readers() -> Iterator[Reader]:
        for x, y in places:
            yield partial(slide.window, x, y, side_um=side_um, level=level)

    return Source(
        path=slide.path,
        kind="slide",
        ids=frame["point_id"].tolist(),
        images=[f"{slide.path}@{x:g},{y:g}" for x, y in places],
        mpp=[mpp] * len(places),
        mpp_sources=[slide.mpp_source] * len(places),
        readers=readers,
    )


@contextmanager
def open_qupath_sink(
    out: Path, slide: str, points: Points | Objects, object_type: ObjectType | None
) -> Iterator[Write]:
    """Yield a function that takes rows of predictions; `out` appears when the block ends well.

    Objects of QuPath come back with all that they had; points of other files become new ones.

    Args:
        out: a name ending in .geojson or .geojson.gz.
        slide: name of the slide.
        points: that predictions are of.
        object_type: annotation or detection; none leaves objects what they are, and makes new ones
            annotations.
    """
    found: dict[str, Finding] = {}

    def write(frame: pd.DataFrame) -> None:
        found.update(zip(frame["figure_id"], map(_finding, frame.to_dict("records")), strict=True))

    yield write
    own = points.points if isinstance(points, Objects) else points
    findings = [found.get(one) for one in own.frame["point_id"]]
    features: list[Json]
    if isinstance(points, Objects):
        features = with_findings(points, findings, object_type)
    else:
        features = new_features(points, findings, slide, object_type or "annotation")
    write_features(out, features)


def _finding(row: dict[Hashable, Any]) -> Finding:
    """Say a prediction in QuPath's terms."""
    name = class_name(row["call"], row["refer"])
    # The spread of a single member is NaN, and left out.
    measurements = {"P(atypical)": row["p_atypical"], "Spread of members": row["spread"]}
    return Finding(name, COLOURS[name], measurements)
