"""The command `atypia`, run in the process of a test."""

from __future__ import annotations

import sys

import pytest


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run `atypia` as the shell does; return its exit code."""
    from atypia.cli.main import run

    monkeypatch.setattr(sys, "argv", ["atypia", *map(str, words)])
    try:
        run()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
