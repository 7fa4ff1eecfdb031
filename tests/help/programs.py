"""Programs beyond Python that some tests need; `.ci/run` installs them."""

from __future__ import annotations

import os
import shutil

import pytest


def require_program(name: str) -> str:
    """Return where a program lies; without it the test is skipped, and fails in CI."""
    path = shutil.which(name)
    if path is None:
        advice = f"{name} is not installed; install it (`apt-get install {name}`, as .ci/run does)"
        if os.environ.get("CI") == "true":
            pytest.fail(advice, pytrace=False)
        pytest.skip(advice)
    return path
