"""Programs beyond Python that some tests need; `.ci/run` installs them."""

from __future__ import annotations

import os
import shutil

import pytest


def require_program(name: str) -> str:
    """Return where a program lies; without it the test is skipped, and fails in CI."""
    found = shutil.which(name)
    if found is None:
        told = f"{name} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{told}; .ci/run installs it, where there is apt", pytrace=False)
        pytest.skip(told)
    return found
