"""The command as a user meets it: help with examples, one line for a mistake, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command

from atypia.cli.main import app, run
from atypia.files import create_output
from warm_python import WarmPython

VERBS = [
    (name,) if not hasattr(command, "commands") else (name, inner)
    for name, command in get_command(app).commands.items()  # type: ignore[attr-defined]
    for inner in getattr(command, "commands", {"": None})
]


def test_the_verbs_of_this_version() -> None:
    assert {verb[0] for verb in VERBS} == {
        "ablate", "bundle", "challenge", "data", "demo", "doctor",
        "evaluate", "models", "predict", "recipes", "serve", "slide", "slides", "train",
        "vote",
    }  # fmt: skip


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_has_help_with_an_example(verb: tuple[str, ...]) -> None:
    command = get_command(app)
    for name in verb:
        command = command.commands[name]  # type: ignore[attr-defined]
    assert command.help is not None
    assert f"Example: atypia {' '.join(verb)}" in " ".join(command.help.split())


def test_a_mistake_is_one_line_and_exit_code_2(warm_python: WarmPython, tmp_path: Path) -> None:
    for arguments in (
        ("train", tmp_path / "nothing.csv", "--out", tmp_path / "run"),
        ("train", tmp_path, "--recipe", "lit", "--out", tmp_path / "run"),
        ("recipes", "show", "lite", "--set", "schedule.epoch=3"),
        ("predict", tmp_path / "nothing.png", "--bundle", tmp_path, "--out", tmp_path / "p.csv"),
        ("models", "show", "light"),
    ):
        done = warm_python.run("-m", "atypia", *arguments)
        assert done.returncode == 2, arguments
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
@pytest.mark.parametrize(
    ("verb", "advice"), [("train", "to resume"), ("predict", "unfinished files are removed")]
)
def test_a_stop_says_how_to_go_on_and_leaves_no_unfinished_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
    verb: str,
    advice: str,
) -> None:
    @app.command("stopped")
    def stopped() -> None:
        with create_output(tmp_path / "p.csv") as partial:
            partial.write_text("half")
            os.kill(os.getpid(), number)
            time.sleep(5)

    monkeypatch.setattr(sys, "argv", ["atypia", "stopped"])
    monkeypatch.setattr("atypia.cli.main._RESUMES", ("stopped",) if verb == "train" else ())
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    # Whoever starts the tests in the background may have it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit) as end:
            run()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        app.registered_commands.pop()
    assert end.value.code == code
    assert advice in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "interrupted",
    [
        # Out of an `exec` of source text, as dataclasses have one, Python ends in its own way.
        "main.app = lambda: exec('import os; os.kill(os.getpid(), 15)')",
        "main.open_streams = lambda: os.kill(os.getpid(), 15)",
        "main.app = by_another_name",
    ],
)
def test_sigterm_ends_with_143_wherever_it_comes(interrupted: str) -> None:
    program = f"""
import os
from atypia.cli import main
def by_another_name():
    try:
        os.kill(os.getpid(), 15)
    except KeyboardInterrupt:
        raise ImportError("a library that was interrupted while it started") from None
{interrupted}
main.run()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 143, done.stderr
    assert "Traceback" not in done.stderr
