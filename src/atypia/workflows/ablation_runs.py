"""The record of the runs of an ablation: one JSON line per run, appended when it ends.

The table is made from this file alone: it holds the scores, not only results computed from them.
So it can be committed, merged with that of another machine, and continued there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from atypia.errors import AtypiaError
from atypia.files import write_whole
from atypia.training.recipe import Precision, Recipe, deciding_values


class RunLine(BaseModel):
    """One run: an arm with a seed, without the figures of a fold.

    Attributes:
        arm: name of the arm.
        seed: of the recipe.
        fold: the run's number, that of the domain left out.
        left_out: name of that domain.
        recipe: every value of the recipe but name and seed, by section.key.
        figures: hash of the figures and their folds.
        images: hash of the content of their images; "" in lines of versions without it.
        seconds: of training, over all starts.
        threads: of the CPU.
        device: "cpu", or the name of the GPU.
        precision: that it was computed in.
        torch: version.
        atypia: version.
        weights_sha256: of the backbone's published weights; "" where they are no file.
        probe: linear-probe accuracy for domain; None with one domain.
        left_out_logit: of the figures of the domain left out, in the order of their rows.
        held_out_logit: of the figures of other domains held out, in the order of their rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    arm: str
    seed: int
    fold: int
    left_out: str
    recipe: dict[str, Any]
    figures: str
    images: str = ""
    seconds: float
    threads: int
    device: str
    precision: Precision = "bf16-mixed"
    torch: str
    atypia: str
    weights_sha256: str = ""
    probe: dict[str, float] | None
    left_out_logit: list[FiniteFloat]
    held_out_logit: list[FiniteFloat]

    @property
    def key(self) -> tuple[str, int, int]:
        """Arm, seed and fold."""
        return self.arm, self.seed, self.fold


@dataclass(frozen=True)
class PlannedRun:
    """A run of the plan, as far as a line must agree with it.

    Attributes:
        recipe: as `flat_recipe` gives it.
        figures: hashes of the figures and their folds, as this and as earlier versions make them.
        images: hash of the content of their images; none where it is not at hand.
        left_out: number of figures of the domain left out.
        held_out: number of figures of other domains held out.
        weights_sha256: of the backbone's published weights; none where they are not at hand.
    """

    recipe: dict[str, Any]
    figures: tuple[str, ...]
    images: str | None
    left_out: int
    held_out: int
    weights_sha256: str | None

    def agrees(self, line: RunLine) -> bool:
        """Return whether a line belongs to this recipe and these figures.

        A key that the line does not have came into the recipe after it was written, and agrees
        where the recipe has its default.
        """
        defaults = flat_recipe(Recipe())
        values = {key: line.recipe.get(key, defaults[key]) for key in self.recipe}
        return (
            values == self.recipe
            and not line.recipe.keys() - self.recipe.keys()
            and line.figures in self.figures
            and (not line.images or self.images in (None, line.images))
            and self.weights_sha256 in (None, line.weights_sha256)
        )


def flat_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return what decides a training but name and seed, by section.key, as JSON gives it back."""
    return {key: of for key, of in deciding_values(recipe).items() if key not in ("name", "seed")}


def read_runs(path: Path) -> list[RunLine]:
    """Read all lines; none without a file. A last line that a kill has cut is left out.

    Raises:
        AtypiaError: a line is damaged or lacks a value; the first one is named.
    """
    if not path.is_file():
        return []
    *ended, last = path.read_text(encoding="utf-8", errors="replace").split("\n")
    lines = [_parse_line(path, number, text) for number, text in enumerate(ended, start=1)]
    return [*lines, RunLine.model_validate_json(last)] if _is_whole(last) else lines


def mend_last_line(path: Path) -> None:
    """Remove a last line that a kill has cut, so that the next one does not join it."""
    if not path.is_file():
        return
    text = path.read_bytes()
    last = text[text.rfind(b"\n") + 1 :]
    if last:
        with write_whole(path) as partial:
            partial.write_bytes(text + b"\n" if _is_whole(last) else text[: -len(last)])


def append_run(path: Path, line: RunLine) -> None:
    """Append a line, and return when the disk has it."""
    with path.open("a", encoding="utf-8") as file:
        file.write(line.model_dump_json() + "\n")
        file.flush()
        os.fsync(file.fileno())


def match_runs(
    lines: Sequence[RunLine], planned: dict[tuple[str, int, int], PlannedRun], path: Path
) -> tuple[dict[tuple[str, int, int], RunLine], int]:
    """Return the last line of each planned run, and the number of lines that match none.

    Raises:
        AtypiaError: a line agrees with its run but holds another number of scores.
    """
    matched: dict[tuple[str, int, int], RunLine] = {}
    other = 0
    for number, line in enumerate(lines, start=1):
        run = planned.get(line.key)
        if run is None or not run.agrees(line):
            other += 1
            continue
        counts = (len(line.left_out_logit), len(line.held_out_logit))
        if counts != (run.left_out, run.held_out):
            raise AtypiaError(
                f"{path}, line {number}: holds {counts[0]} and {counts[1]} scores of left-out and "
                f"held-out figures, expected {run.left_out} and {run.held_out}; delete the line to "
                "repeat its run"
            )
        matched[line.key] = line
    return matched, other


def _is_whole(text: str | bytes) -> bool:
    try:
        RunLine.model_validate_json(text)
    except ValidationError:
        return False
    return True


def _parse_line(path: Path, number: int, text: str) -> RunLine:
    try:
        return RunLine.model_validate_json(text)
    except ValidationError as faults:
        first = faults.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        why = f"{where}: {first['msg']}" if where else first["msg"]
        raise AtypiaError(
            f"{path}, line {number}: is damaged ({why}); delete the line to repeat its run"
        ) from None
