"""The state of a slide of a list: what decides its results, and these; one JSON file a slide."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from atypia.data.case_summary import Counts, HotspotCounts
from atypia.files import escape_document, write_output
from atypia.fingerprint import settings_part
from atypia.inference.options import PredictOptions
from atypia.workflows.slide import EVERY_POINT

READING = 1
"""Raised by hand when another reading of slides or points, or another drawing or writing of what
is found on them, changes results: slides done before are then done again."""

_UNDECIDING = ("bundle", "weights", "threads")
"""Options without a part in the results: the bundle's content has one, and names its weights."""


class SlideState(BaseModel):
    """The results of a slide.

    Attributes:
        inputs: all that decides them, as `slide_inputs` gives it.
        fault: why nothing could be classified; "" where something was.
        trace: of an unexpected fault, for a report.
        files: names of the files written, in the folder of the results.
        counts: of its figures.
        hotspot: counts where they are densest, if that was asked for and there is one.
        failures: of points that could not be classified, a line each.
        warnings: on the points, a line each.
        mpp_from: where the size of a pixel comes from: slide or given.
        seconds: from opening the slide to the last file.
        reading_s: reading and cropping, summed over threads.
        network_s: in the network, summed over threads.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: dict[str, Any]
    fault: str = ""
    trace: str = ""
    files: list[str] = []
    counts: Counts = Counts(0, 0, 0, 0)
    hotspot: HotspotCounts | None = None
    failures: list[str] = []
    warnings: list[str] = []
    mpp_from: str = ""
    seconds: FiniteFloat = 0.0
    reading_s: FiniteFloat = 0.0
    network_s: FiniteFloat = 0.0


def slide_inputs(
    *,
    bundle: str,
    options: Mapping[str, Any],
    choice: Mapping[str, Any],
    slide: Sequence[Any],
    points: str,
    mpp: float | None,
    area_mm2: float | None,
    formats: Sequence[str],
    pictures: bool,
) -> dict[str, Any]:
    """Return all that decides the results of a slide, as JSON gives it back.

    The version of atypia is not in it, and options at their default are not: a release leaves
    finished slides as they are unless it raises `READING`.

    Args:
        bundle: its hash.
        options: of `PredictOptions`, by name.
        choice: of `PointsChoice`, by name.
        slide: its path, which is in the results, its size and its time. A slide whose time has
            changed counts as changed: to compare content, gigabytes in one or several files would
            have to be read, which takes longer than to classify the points.
        points: hash of the file's content; "" where it cannot be read.
        mpp: um/px of level 0; None takes it from the slide's metadata.
        area_mm2: of the searched tissue.
        formats: of the files to write.
        pictures: whether pictures are drawn.
    """
    fields = PredictOptions.model_fields
    deciding = {name: options[name] for name in options if name not in _UNDECIDING}
    inputs = {
        "reading": READING,
        "bundle": bundle,
        "options": settings_part(deciding, {name: fields[name].default for name in fields}),
        "choice": settings_part(_plain(choice), _plain(asdict(EVERY_POINT))),
        "slide": list(slide),
        "points": points,
        "mpp": mpp,
        "area_mm2": area_mm2,
        "formats": list(formats),
        "pictures": pictures,
    }
    return dict(escape_document(inputs))


def read_state(path: Path) -> SlideState | None:
    """Read a state; None where there is none, or it is damaged or of a later version."""
    try:
        state = SlideState.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None
    return state.model_copy(update={"inputs": _renew_inputs(state.inputs)})


def _renew_inputs(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return inputs as this version writes them; 0.1.0 kept its version and every default."""
    if inputs.get("atypia") != "0.1.0":
        return inputs
    names = ("members", "precision", "device", "batch_size", "runtime", "prevalence")
    same = ("bundle", "choice", "slide", "mpp", "area_mm2", "formats", "pictures")
    try:
        return slide_inputs(
            options={name: inputs[name] for name in names},
            points=inputs["points"][1] if len(inputs["points"]) > 1 else "",
            **{name: inputs[name] for name in same},
        ) | {"reading": 1}
    except (KeyError, TypeError, AttributeError):
        return inputs


def _plain(choice: Mapping[str, Any]) -> dict[str, Any]:
    return dict(choice) | {"names": list(choice["names"])}


def write_state(path: Path, state: SlideState) -> None:
    """Write a state, whole or not at all, texts escaped, as files may be called anything."""
    # pydantic would write null for what is not finite, and read another state back.
    text = json.dumps(escape_document(state.model_dump()), indent=1, ensure_ascii=False)
    write_output(path, text + "\n")
