"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

AMI_BR = Path(__file__).resolve().parents[2] / "shared" / "data" / "ami-br"


@pytest.fixture(scope="session")
def ami_br() -> Path:
    """The 2,894 real figures, where they lie beside the project."""
    if not (AMI_BR / "AMI-BR.csv").is_file():
        pytest.skip("the real figures (shared/data/ami-br) do not lie beside this project")
    return AMI_BR
