"""Answers of MIDOG 2025, track 2: written for a stack, and read back beside a figure table.

An answer is `{"class": "atypical" | "normal", "confidence": P(atypical)}`. The confidence is the
probability of atypical whatever the class: with that of the class, the AUROC would be inverted for
every figure called normal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from atypia.data.columns import as_numbers, as_text
from atypia.data.predictions import CALLS, check_predictions
from atypia.data.table import FigureTable
from atypia.errors import TableError, abbreviate
from atypia.files import parse_json, write_output

ANSWERS_NAME = "multiple-mitotic-figure-classification.json"

_PLATFORM_FOLDER = "output"
_NAMED = 5


def write_answers(path: Path, answers: Iterable[tuple[str, float]]) -> None:
    """Write the answers to the pages of a stack, whole or not at all.

    Args:
        path: of the JSON file.
        answers: the call and P(atypical) of every page, in order.

    Raises:
        AtypiaError: the file cannot be written.
    """
    entries = [{"class": call, "confidence": p} for call, p in answers]
    write_output(path, json.dumps(entries, indent=2, allow_nan=False) + "\n")


def read_answers(path: Path) -> list[tuple[str, float]]:
    """Read the answers to the pages of a stack: call and P(atypical) of each, in order.

    Raises:
        TableError: not such a file; the first entry that is wrong is named, counted from 1.
    """
    try:
        entries = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise TableError(f"{path}: cannot be read ({fault}); write it anew") from fault
    if not isinstance(entries, list):
        raise TableError(f"{path}: expected a list of entries, one a page")
    return [
        _check_answer(entry, f"{path}, entry {at}") for at, entry in enumerate(entries, start=1)
    ]


def _check_answer(entry: object, name: str) -> tuple[str, float]:
    fields = entry if isinstance(entry, dict) else {}
    call, p = fields.get("class"), fields.get("confidence")
    if call not in CALLS:
        raise TableError(f"{name}: class {abbreviate(call)}, expected {' or '.join(CALLS)}")
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise TableError(
            f"{name}: confidence {abbreviate(p)}, expected P(atypical), a number in 0..1"
        )
    return str(call), float(p)


def convert_answers(source: Path, table: FigureTable) -> tuple[pd.DataFrame, list[str]]:
    """Make predictions of the answers to some stacks.

    Args:
        source: one file of answers, or a folder of them: `<stack>.json`, or a folder of the
            stack's name, in which the file has the name that the challenge gives it (there also
            in `output/`).
        table: the figures on the pages. Its column `stack` names each figure's stack (absent: all
            are of one), `page` its page, counted from 1 (absent: the order of rows).

    Returns:
        The predictions, checked, in the table's order; and notes, in words, of what was left out.

    Raises:
        TableError: there are no answers to a stack, or not as many as it has pages, or a page of
            it is missing or twice.
    """
    stacks = _pages_by_stack(table)
    files = _find_files(source)
    if source.is_file() and len(stacks) == 1:
        files = dict.fromkeys(stacks, source)
    missing = [name for name in stacks if name not in files]
    if missing:
        raise TableError(
            f"{source}: no answers to {len(missing)} of {len(stacks)} stacks "
            f"({_abbreviate_names(missing)}); "
            f"expected STACK.json or STACK/{ANSWERS_NAME} for each"
        )
    rows: dict[str, tuple[str, float]] = {}
    for name, figures in stacks.items():
        answers = read_answers(files[name])
        if len(answers) != len(figures):
            raise TableError(
                f"{files[name]}: {len(answers)} answers, but the table has {len(figures)} pages of "
                "this stack; expected one a page"
            )
        rows |= dict(zip(figures, answers, strict=True))
    others = [name for name in files if name not in stacks]
    notes = (
        [f"{len(others)} stacks answered but not in the table: {_abbreviate_names(others)}"]
        if others
        else []
    )
    ids = table.frame["figure_id"].tolist()
    frame = pd.DataFrame(
        {
            "figure_id": ids,
            "p_atypical": [rows[figure][1] for figure in ids],
            "call": [rows[figure][0] for figure in ids],
        }
    )
    return check_predictions(frame), notes


def _pages_by_stack(table: FigureTable) -> dict[str, list[str]]:
    """Return the figures of every stack, in the order of its pages."""
    frame = table.frame[["figure_id"]].assign(
        stack=as_text(table.frame["stack"]) if "stack" in table.frame else "stack"
    )
    if "page" in table.frame:
        frame["page"] = as_numbers(as_text(table.frame["page"]))
    else:
        frame["page"] = frame.groupby("stack").cumcount() + 1
    stacks: dict[str, list[str]] = {}
    for name, rows in frame.sort_values("page", kind="stable").groupby("stack", sort=False):
        if rows["page"].tolist() != list(range(1, len(rows) + 1)):
            raise TableError(
                f"stack {name!r}: expected its {len(rows)} figures on pages 1 to {len(rows)}, each "
                "page once; correct the columns stack and page of the table"
            )
        stacks[str(name)] = rows["figure_id"].tolist()
    return stacks


def _find_files(source: Path) -> dict[str, Path]:
    """Return the files of answers by the name of their stack."""
    if not source.exists():
        raise TableError(f"{source}: there is no such file or folder; give the program's answers")
    files: dict[str, Path] = {}
    for path in [source] if source.is_file() else sorted(source.rglob("*.json")):
        if path.name == ANSWERS_NAME:
            folder = path.parent
            name = (folder.parent if folder.name == _PLATFORM_FOLDER else folder).name
        elif source in (path, path.parent):
            name = path.stem
        else:
            continue
        if name in files:
            raise TableError(f"{path}: answers to {name} are also in {files[name]}; keep one")
        files[name] = path
    return files


def _abbreviate_names(names: list[str]) -> str:
    text = ", ".join(names[:_NAMED])
    return text if len(names) <= _NAMED else f"{text} and {len(names) - _NAMED} more"
