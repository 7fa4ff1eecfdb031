"""The record of a training: one JSON line a report, and the same to TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path

from torch.utils.tensorboard.writer import SummaryWriter

from atypia.files import parse_json, write_text


class MetricsLog:
    """Metrics over steps, in `metrics.jsonl` and as TensorBoard events, of one member."""

    def __init__(self, folder: Path, from_step: int, *, silent: bool = False) -> None:
        """Open the record, forgetting what was written after the step training resumes from.

        Args:
            folder: of the member.
            from_step: training resumes after it.
            silent: another process keeps the record.
        """
        self._silent = silent
        if silent:
            return
        self._path = folder / "metrics.jsonl"
        kept: list[str] = []
        if self._path.is_file():
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
            kept = [line for line in lines if _is_until(line, from_step)]
        write_text(self._path, "".join(f"{line}\n" for line in kept))
        self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=from_step + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Record values after a step."""
        if self._silent:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush the TensorBoard events."""
        if not self._silent:
            self._events.close()


def _is_until(line: str, step: int) -> bool:
    """Tell whether a line is whole, which a kill can prevent, and of no later step."""
    try:
        values = parse_json(line)
        return all(isinstance(value, int | float) for value in values.values()) and (
            values["step"] <= step
        )
    except (ValueError, LookupError, AttributeError):
        return False
