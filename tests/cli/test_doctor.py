"""`atypia doctor`: each check, its fix and the exit code."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atypia.cli import doctor
from atypia.cli.main import app

RUNNER = CliRunner()


def test_doctor_finds_nothing_broken_here() -> None:
    shown = RUNNER.invoke(app, ["doctor"])
    assert shown.exit_code == 0, shown.output
    assert "nothing is broken" in shown.output


def test_doctor_ends_with_1_and_the_fix_where_something_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    shown = RUNNER.invoke(app, ["doctor"])
    assert shown.exit_code == 1
    assert "broken  Python 3.9.0 is too old" in shown.output
    assert "fix: make a virtual environment with Python 3.11 or newer" in shown.output
    assert "1 broken" in shown.output


def test_doctor_compares_packages_with_what_is_required() -> None:
    wanted = [
        "torch>=2.6",
        "numpy>=99",
        "no-such-package",
        'other-missing>=1; extra == "slides"',
        'winonly; sys_platform == "win32"',
    ]
    needed, slides = doctor.check_packages(wanted)
    assert needed.level == "broken"
    assert "numpy is " in needed.what
    assert "no-such-package is missing" in needed.what
    assert "torch" not in needed.what
    assert "winonly" not in needed.what
    assert slides.level == "ok"
    assert "other-missing is missing" in slides.what
    assert "atypia[slides]" in slides.fix


def test_doctor_sees_an_offline_hub_and_a_full_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert doctor.check_hub().level == "note"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert doctor.check_hub().level == "ok"
    usage = shutil.disk_usage(tmp_path)._replace(free=10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert doctor.check_disk(tmp_path).level == "broken"
