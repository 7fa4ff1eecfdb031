"""The metrics of a training: one JSON line per record, and the same for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path

from torch.utils.tensorboard.writer import SummaryWriter

from atypia.files import parse_json, write_text


class MetricsLog:
    """Metrics of one member over its steps, in `metrics.jsonl` and as TensorBoard events."""

    def __init__(self, folder: Path, from_step: int, *, silent: bool = False) -> None:
        """Open the log, and drop lines of steps after the one that training resumes from.

        Args:
            folder: of the member.
            from_step: training resumes after it.
            silent: another process writes the log.
        """
        self._ignore_progress = silent
        if silent:
            return
        self._path = folder / "metrics.jsonl"
        valid: list[str] = []
        if self._path.is_file():
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
            valid = [line for line in lines if _is_until(line, from_step)]
        write_text(self._path, "".join(f"{line}\n" for line in valid))
        self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=from_step + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Record values after a step."""
        if self._ignore_progress:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush the TensorBoard events."""
        if not self._ignore_progress:
            self._events.close()


def _is_until(line: str, step: int) -> bool:
    """Return whether a line is complete, which a kill can prevent, and of no later step."""
    try:
        values = parse_json(line)
        return all(isinstance(value, int | float) for value in values.values()) and (
            values["step"] <= step
        )
    except (ValueError, LookupError, AttributeError):
        return False
