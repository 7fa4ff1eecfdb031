"""The state of a slide of a list: what it was made from, what came of it; one JSON file a slide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from atypia.data.case_summary import Counts
from atypia.files import escape_document, write_output


class SlideState(BaseModel):
    """What came of a slide.

    Attributes:
        inputs: all that decided it.
        fault: why nothing could be classified; "" where something was.
        trace: of a fault that nobody had thought of, for a report.
        files: names of what was written, in the folder of the results.
        counts: of its figures.
        failures: of points that could not be classified, a line each.
        warnings: what a user should know of the points, a line each.
        mpp_from: who said how large a pixel is: slide or given.
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
    failures: list[str] = []
    warnings: list[str] = []
    mpp_from: str = ""
    seconds: FiniteFloat = 0.0
    reading_s: FiniteFloat = 0.0
    network_s: FiniteFloat = 0.0


def read_state(path: Path) -> SlideState | None:
    """Read a state; None where there is none, or one that another version wrote."""
    try:
        return SlideState.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None


def write_state(path: Path, state: SlideState) -> None:
    """Write a state, whole or not at all, texts escaped, as files may be called anything."""
    # pydantic would write null for what is not finite, and read another state back.
    text = json.dumps(escape_document(state.model_dump()), indent=1, ensure_ascii=False)
    write_output(path, text + "\n")
