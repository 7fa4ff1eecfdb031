"""The runs of an ablation as they are kept: one JSON line a run, appended when it is done.

The file is what the table is made of, so it can be committed, merged with that of another machine,
and gone on with there: it holds the scores, not only what was computed from them.
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
        images: hash of the content of their images; "" in lines of a version that did not look.
        seconds: of training, over all starts.
        threads: of the CPU.
        device: "cpu", or the name of the GPU.
        precision: that it was computed in.
        torch: version.
        atypia: version.
        weights_sha256: of the backbone's published weights; "" where they are no file.
        probe: how well a linear probe tells the domains from the embedding; None with one domain.
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
class Wanted:
    """A run that the plan asks for, as far as a line must agree with it.

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
        """Tell whether a line is of this recipe and these figures.

        A key that the line does not have came into the recipe after it was written, and agrees
        where the recipe has its default.
        """
        defaults = flat_recipe(Recipe())
        there = {key: line.recipe.get(key, defaults[key]) for key in self.recipe}
        return (
            there == self.recipe
            and not line.recipe.keys() - self.recipe.keys()
            and line.figures in self.figures
            and (not line.images or self.images in (None, line.images))
            and self.weights_sha256 in (None, line.weights_sha256)
        )


def flat_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return what decides a training but name and seed, by section.key, as JSON gives it back."""
    return {key: of for key, of in deciding_values(recipe).items() if key not in ("name", "seed")}


def read_runs(path: Path) -> list[RunLine]:
    """Read all lines; none where there is no file. A last line that a kill has cut is left out.

    Raises:
        AtypiaError: a line is damaged or lacks what the table needs; the first one is named.
    """
    if not path.is_file():
        return []
    *ended, last = path.read_text(encoding="utf-8", errors="replace").split("\n")
    lines = [_parsed(path, number, text) for number, text in enumerate(ended, start=1)]
    return [*lines, RunLine.model_validate_json(last)] if _is_whole(last) else lines


def mend_end(path: Path) -> None:
    """Take away a last line that a kill has cut, so that the next one does not join it."""
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


def agreeing(
    lines: Sequence[RunLine], wanted: dict[tuple[str, int, int], Wanted], path: Path
) -> tuple[dict[tuple[str, int, int], RunLine], int]:
    """Return the line of each wanted run that has one (the last), and how many lines have no use.

    Raises:
        AtypiaError: a line agrees with its run but holds another number of scores.
    """
    found: dict[tuple[str, int, int], RunLine] = {}
    other = 0
    for number, line in enumerate(lines, start=1):
        run = wanted.get(line.key)
        if run is None or not run.agrees(line):
            other += 1
            continue
        held = (len(line.left_out_logit), len(line.held_out_logit))
        if held != (run.left_out, run.held_out):
            raise AtypiaError(
                f"{path}, line {number}: holds {held[0]} and {held[1]} scores of left-out and "
                f"held-out figures, expected {run.left_out} and {run.held_out}; delete the line, "
                "its run is then done again"
            )
        found[line.key] = line
    return found, other


def _is_whole(text: str | bytes) -> bool:
    try:
        RunLine.model_validate_json(text)
    except ValidationError:
        return False
    return True


def _parsed(path: Path, number: int, text: str) -> RunLine:
    try:
        return RunLine.model_validate_json(text)
    except ValidationError as faults:
        first = faults.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        why = f"{where}: {first['msg']}" if where else first["msg"]
        raise AtypiaError(
            f"{path}, line {number}: is damaged ({why}); delete the line, its run is then done "
            "again"
        ) from None
