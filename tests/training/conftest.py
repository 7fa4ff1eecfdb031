"""Fixtures of tests of training."""

from __future__ import annotations

import pytest

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    """90 figures of 18 slides in 3 domains, 96 px."""
    folder = tmp_path_factory.mktemp("cohort")
    return make_phantom(folder, figures=90, domains=3, slides_per_domain=6, size_px=96, seed=0)
