"""The commands that the pages show, with the mark of each, and the files that they show.

A command is a ```sh or ```python block, or inline code that begins with a program of `PROGRAMS`.
A mark is an HTML comment on the line before a block, or behind the inline code: CONTRIBUTING.md,
"Commands in these pages".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
LANGUAGES = ("sh", "python", "csv", "toml", "text")
PROGRAMS = ("atypia", "python", "make", "torchrun", "docker", "sbatch")
NEEDS = (
    *("buildah", "cluster", "docker", "experts", "figures", "gpu", "label-studio", "network"),
    *("server", "tiatoolbox", "triton", "weights"),
)

_FENCE = re.compile(r"^```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = r"<!--(?P<mark>[^>]*)-->"
_INLINE = re.compile(rf"`(?P<text>(?:{'|'.join(PROGRAMS)})(?= |\n|`)[^`]*)`(?:{_COMMENT})?")
_MARK = re.compile(r"long: (?P<commit>[0-9a-f]{7,40})(?:, (?P<file>\S+))?|needs (?P<needs>[^:]+)")


@dataclass(frozen=True)
class Mark:
    """Why a command is not run as it stands.

    Attributes:
        long: the commit that records its last run; empty where it is not long.
        output: file of that run's output, below the root; empty where it stands beside.
        needs: what it needs, of `NEEDS`.
        faults: what is wrong with the mark.
    """

    long: str = ""
    output: str = ""
    needs: frozenset[str] = frozenset()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """A command as it stands.

    Attributes:
        place: `README.md:27`.
        language: `sh` or `python`.
        inline: whether it stands within a sentence.
        text: one or more lines of shell or Python.
        mark: None where it is to be run.
        below: the rest of its section, up to the next command.
    """

    place: str
    language: str
    inline: bool
    text: str
    mark: Mark | None
    below: str = ""


def commands_of(page: Path) -> list[Command]:
    """Return the commands of a page, in order."""
    text = page.read_text(encoding="utf-8")
    prose = _FENCE.sub(lambda fence: " " * len(fence[0]), text)
    found: list[tuple[int, int, str, bool, str, Mark | None]] = [
        (at.start(), at.end(), "sh", True, " ".join(at["text"].split()), _read_mark(at["mark"]))
        for at in _INLINE.finditer(prose)
    ]
    for fence in _FENCE.finditer(text):
        if fence["language"] in ("sh", "python"):
            before = re.search(_COMMENT + r"\n$", text[: fence.start()])
            mark = _read_mark(before and before["mark"])
            start, end = fence.span()
            found.append((start, end, fence["language"], False, fence["text"], mark))
    found.sort()
    blocks = [start for start, _, _, inline, *_ in found if not inline]
    commands = []
    for start, end, language, inline, shown, mark in found:
        heading = re.search(r"^#+ ", text[end:], re.MULTILINE)
        section = end + heading.start() if heading else len(text)
        stop = min([section, *(block for block in blocks if block > start)])
        place = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, start) + 1}"
        commands.append(Command(place, language, inline, shown, mark, text[end:stop]))
    return commands


def files_of(page: Path) -> dict[str, str]:
    """Return what the csv and toml blocks hold, by the name that the sentence before gives."""
    text = page.read_text(encoding="utf-8")
    files = {}
    for fence in _FENCE.finditer(text):
        if fence["language"] in ("csv", "toml"):
            names = re.findall(rf"`([\w./-]+\.{fence['language']})`", text[: fence.start()])
            files[names[-1]] = fence["text"]
    return files


def languages_of(page: Path) -> list[str]:
    """Return the language of every block; empty where none is named."""
    return [fence["language"] for fence in _FENCE.finditer(page.read_text(encoding="utf-8"))]


def text_blocks_of(page: Path) -> list[str]:
    """Return what is shown as text: outputs, folders."""
    blocks = _FENCE.finditer(page.read_text(encoding="utf-8"))
    return [fence["text"] for fence in blocks if fence["language"] == "text"]


def _read_mark(comment: str | None) -> Mark | None:
    if comment is None:
        return None
    commit, output, needs, faults = "", "", frozenset[str](), []
    for part in comment.split(";"):
        mark = _MARK.fullmatch(part.partition(" (")[0].strip())
        if mark is None:
            faults.append(f"{part.strip()}: neither `long: COMMIT[, FILE]` nor `needs THING`")
        elif mark["needs"]:
            needs = frozenset(re.split(r", | and ", mark["needs"]))
        else:
            commit, output = mark["commit"], mark["file"] or ""
    faults += [f"needs {thing}: expected one of {NEEDS}" for thing in sorted(needs - set(NEEDS))]
    return Mark(commit, output, needs, tuple(faults))
