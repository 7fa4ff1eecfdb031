"""Every command of README, docs and CONTRIBUTING does what it says, or says why it is not run.

Unmarked commands run in the order in which they stand, in one folder that holds what a reader has
(docs_inputs.py), without a network. What they run with that does not stand there is in `SHORTER`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from atypia.cli.main import app
from docs_commands import (
    LANGUAGES,
    PAGES,
    PROGRAMS,
    ROOT,
    Command,
    commands_of,
    files_of,
    languages_of,
    text_blocks_of,
)
from docs_inputs import write_inputs
from warm_python import WarmPython, write_program

USAGE_ERROR = typer.BadParameter.__base__  # typer brings click, or a copy of it
COMMANDS = [command for page in PAGES for command in commands_of(page)]
SETTINGS = (
    "backbone.input_px=32",
    "schedule.epochs=1",
    "schedule.min_steps=2",
    "schedule.batch_size=8",
    "folds.count=2",
)
PLAN = """
name = "quick"
seeds = [0]
set = ["backbone.input_px=32", "schedule.epochs=1", "schedule.min_steps=2"]
[[arm]]
name = "plain"
recipe = "plain"
[[arm]]
name = "lite"
recipe = "lite"
against = "plain"
"""
# A training of the README takes an hour, an ablation a day. So this is added before the settings of
# every `atypia train`, behind every `atypia ablate` (the last --plan counts), and to
# `read_recipe("lite")`.
SHORTER = {
    "train": " ".join(f"--set {setting}" for setting in SETTINGS),
    "ablate": "--plan ../quick.toml",
}


def _is_name(command: Command) -> bool:
    """Whether inline code names a verb or a target, rather than being a whole command."""
    program, *words = shlex.split(command.text)
    if not command.inline:
        return False
    return _parse(words) == "incomplete" if program == "atypia" else len(words) < 2


def _parse(words: list[str]) -> str:
    """Return what is wrong with the words behind `atypia`; empty if nothing is.

    A verb without any argument, where it needs one, is "incomplete".
    """
    verb: Any = get_command(app)
    while hasattr(verb, "commands") and words and not words[0].startswith("-"):
        if words[0] not in verb.commands:
            return f"there is no {words[0]}"
        verb, words = verb.commands[words[0]], words[1:]
    try:
        verb.make_context(verb.name, list(words))
    except typer.Exit:
        return ""  # --help
    except USAGE_ERROR as fault:
        return fault.format_message() if words else "incomplete"
    return ""


def _shell_lines(command: Command) -> list[list[str]]:
    """Return the words of each line, without comments, pipes and what is written to a file."""
    text = command.text.replace("\\\n", " ")
    lines = [shlex.split(line, comments=not command.inline) for line in text.splitlines()]
    return [re.split(r" [>|] ?", " ".join(line))[0].split(" ") for line in lines if line]


def _fault(words: list[str]) -> str:
    """Return what of a command is not there, without running it; empty if all is."""
    program = next((word for word in words if word in PROGRAMS), None)
    rest = words[words.index(program) + 1 :] if program else []
    if program == "torchrun" and rest:
        program, rest = "atypia", rest[rest.index("atypia") + 1 :]
    if program == "atypia":
        return _parse(rest)
    if not rest:
        return ""
    if program == "make":
        target = rest[0]
        there = re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return "" if there else f"there is no target {target}"
    if program == "python" and rest[0] != "-c":
        script = ROOT / rest[0]
        if not script.is_file():
            return f"there is no {rest[0]}"
        source = script.read_text(encoding="utf-8")
        unknown = [word for word in rest if word[:2] == "--" and f'"{word}"' not in source]
        return f"there is no {', '.join(unknown)}" if unknown else ""
    return ""


def _examples() -> list[str]:
    groups: list[Any] = [get_command(app)]
    examples = []
    for group in groups:
        for command in group.commands.values():
            if hasattr(command, "commands"):
                groups.append(command)
            else:
                examples += re.findall(r"Example: (.+)", command.help or "")
    return examples


def _reader(folder: Path, home: Path, python: WarmPython) -> dict[str, str]:
    """Return the environment of a reader whose `atypia` and `python` are these, offline."""
    home.mkdir()
    cases = f'train) shift; set -- train {SHORTER["train"]} "$@" ;;\n'
    cases += f'ablate) set -- "$@" {SHORTER["ablate"]} ;;\n'
    text = f'case "$1" in\n{cases}esac\nexec python -m atypia "$@"'
    write_program(python.folder / "atypia", text)
    (folder.parent / "quick.toml").write_text(PLAN)
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    path = f"{python.folder}{os.pathsep}{os.environ['PATH']}"
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    return os.environ | nowhere | {"PATH": path, "HOME": str(home), "OMP_NUM_THREADS": threads}


def _run(command: Command, folder: Path, environment: dict[str, str]) -> str:
    """Run a command as it stands; return what went wrong, empty if nothing did."""
    if command.language == "python":
        text = command.text.replace('read_recipe("lite")', f'read_recipe("lite", {SETTINGS})')
        words = ["python", "-c", text]
    else:
        words = ["bash", "-euo", "pipefail", "-c", command.text]
    done = subprocess.run(
        ["env", *words],  # which looks for `python` in the reader's PATH
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode == 0:
        return ""
    ending = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
    return f"{command.place}: exit code {done.returncode}\n{command.text.strip()}\n{ending}"


def test_no_command_stands_where_it_is_neither_run_nor_marked() -> None:
    # Not in a block of text, of no or another language, or an indented one.
    for page in PAGES:
        assert set(languages_of(page)) <= set(LANGUAGES), page
        hidden = [
            line
            for line in re.findall(r"^    .+$", page.read_text(encoding="utf-8"), re.MULTILINE)
            + "\n".join(text_blocks_of(page)).splitlines()
            if re.match(rf"\s*\$ |\s*({'|'.join(PROGRAMS)}|pip) [a-z]", line)
        ]
        assert not hidden, page
    assert len(COMMANDS) > 40


def test_a_mark_says_what_is_needed_or_when_it_was_last_run_and_what_came_of_it() -> None:
    for command in COMMANDS:
        mark = command.mark
        if mark is None:
            continue
        assert not mark.faults, (command.place, mark.faults)
        if mark.output:
            assert (ROOT / mark.output).is_file(), command.place
        elif mark.long:
            beside = re.search(r"^(```text|\| )", command.below, re.MULTILINE)
            assert beside, f"{command.place}: no output stands below"


def test_what_is_not_run_names_verbs_options_scripts_and_targets_that_there_are() -> None:
    faults = [
        f"{command.place}: {fault}"
        for command in COMMANDS
        if command.language == "sh" and (command.mark or _is_name(command))
        for line in _shell_lines(command)
        if (fault := _fault(line)) not in ("", "incomplete")
    ]
    assert not faults


@pytest.mark.parametrize("example", _examples())
def test_an_example_of_a_help_can_be_parsed(example: str) -> None:
    words = shlex.split(example.split(">", maxsplit=1)[0])
    assert _parse(words[1:]) == ""


def test_extras_that_the_pages_name_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = {name for names in re.findall(r"pip install '[a-z.]+\[([a-z,]+)\]'", text)
             for name in names.split(",")}  # fmt: skip
    assert named
    assert named <= extras


def test_unmarked_commands_run_as_they_stand(tmp_path: Path, warm_python: WarmPython) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    environment = _reader(folder, tmp_path / "home", warm_python)
    files = {name: text for page in PAGES for name, text in files_of(page).items()}
    write_inputs(folder, files)
    unmarked = [command for command in COMMANDS if not (command.mark or _is_name(command))]
    faults = [fault for command in unmarked if (fault := _run(command, folder, environment))]
    assert not faults, "\n\n".join(faults)
    for made in ("runs/first/report.html", "runs/second/bundle", "results/cases.csv"):
        assert (folder / made).exists(), made


@pytest.mark.slow  # in the quick suite: their verbs run on other figures above
def test_commands_on_the_public_figures_run_as_they_stand(
    tmp_path: Path, ami_br: Path, atnorm_md: Path, warm_python: WarmPython
) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    environment = _reader(folder, tmp_path / "home", warm_python)
    (folder / "ami-br").symlink_to(ami_br)
    (folder / "atnorm-md").symlink_to(atnorm_md)
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks")
    chosen = [c for c in COMMANDS if c.mark and c.mark.needs == {"figures"} and not c.mark.long]
    assert chosen
    faults = [fault for command in chosen if (fault := _run(command, folder, environment))]
    assert not faults, "\n\n".join(faults)
