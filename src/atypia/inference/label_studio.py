"""Predictions as pre-annotated tasks of Label Studio.

A task is `{"data": {...}, "predictions": [{"model_version", "score", "result": [...]}]}`
(labelstud.io/guide/predictions). An image is named by its path below the folder of the file of
tasks, as `/data/local-files/?d=PATH`: Label Studio serves it if that folder is its "document root".
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from atypia.data.predictions import CALLS
from atypia.errors import AtypiaError
from atypia.files import create_output
from atypia.inference.sinks import Write
from atypia.inference.sources import Source

TASKS_SUFFIX = ".json"
#: The names in the labelling configuration: of the choice, and of the image.
CHOICE, IMAGE = "call", "image"
LABELLING = f"""\
<View>
  <Image name="{IMAGE}" value="${IMAGE}"/>
  <Choices name="{CHOICE}" toName="{IMAGE}" choice="single" required="true">
    <Choice value="Normal"/>
    <Choice value="Atypical"/>
  </Choices>
</View>
"""
"""What a project's "Labeling Interface" must be for the tasks to fit."""

_SERVED = "/data/local-files/?d="
_HASH_DIGITS = 12


def require_tasks_name(out: Path) -> None:
    """Refuse a name that a file of tasks cannot have.

    Raises:
        AtypiaError: it does not end in .json, or is a folder.
    """
    if out.suffix.lower() != TASKS_SUFFIX:
        name = out.with_suffix(TASKS_SUFFIX).name
        raise AtypiaError(f"{out}: Label Studio imports .json; call it {name}")
    if out.is_dir():
        raise AtypiaError(f"{out}: is a folder; give the name of a file")


def find_addresses(sources: Sequence[Source], out: Path) -> dict[str, str]:
    """Return the address of each figure's image, by figure_id.

    Args:
        sources: of the figures.
        out: file of the tasks.

    Raises:
        AtypiaError: an image is a page of a file, or does not lie below the folder of `out`.
    """
    root = out.absolute().parent
    addresses = {}
    for source in sources:
        for name, image, file in zip(source.ids, source.images, source.files(), strict=True):
            if file is None:
                raise AtypiaError(
                    f"{image or name}: has no image file of its own, which Label Studio needs; "
                    "save each figure as a PNG"
                )
            relative = os.path.relpath(file.absolute(), root)
            if Path(relative).parts[0] == os.pardir:
                raise AtypiaError(
                    f"{file}: does not lie below {out.parent}, the folder of {out.name}, and Label "
                    "Studio serves images from one folder; write the tasks to a folder above all "
                    "images"
                )
            addresses[name] = _SERVED + quote(os.fsencode(relative))
    return addresses


def name_model(bundle_name: str, bundle_sha256: str) -> str:
    """Return the version of a model for Label Studio, the same for the same bundle alone."""
    return f"{bundle_name} {bundle_sha256[:_HASH_DIGITS]}"


@contextmanager
def open_tasks(out: Path, addresses: Mapping[str, str], model: str) -> Iterator[Write]:
    """Yield a function that appends rows of the predictions table as tasks, in their order.

    Args:
        out: file of the tasks; appears when the block ends well.
        addresses: of the images, by figure_id.
        model: version of the model, as `name_model` gives it.

    Raises:
        AtypiaError: the file cannot be written.
    """
    with create_output(out) as partial, partial.open("w", encoding="utf-8") as file:
        between = "[\n"

        def write(frame: pd.DataFrame) -> None:
            nonlocal between
            for row in frame.to_dict("records"):
                task = _make_task(row, addresses[row["figure_id"]], model)
                file.write(between + json.dumps(task, ensure_ascii=False, allow_nan=False))
                between = ",\n"

        yield write
        file.write("\n]\n" if between != "[\n" else "[]\n")


def _make_task(row: Mapping[Any, Any], address: str, model: str) -> dict[str, Any]:
    """Return a task; its score is the probability of the call, so that the doubtful sort first."""
    p = float(row["p_atypical"])
    call = row["call"].capitalize()
    result = {
        "from_name": CHOICE,
        "to_name": IMAGE,
        "type": "choices",
        "value": {"choices": [call]},
    }
    score = p if row["call"] == CALLS[1] else 1 - p
    return {
        "data": {
            IMAGE: address,
            "figure_id": row["figure_id"],
            "p_atypical": p,
            "call": call,
            "refer": "refer to a person" if row["refer"] else "certain",
            "scope": row["scope_reason"] or "in scope",
        },
        "predictions": [{"model_version": model, "score": score, "result": [result]}],
    }
