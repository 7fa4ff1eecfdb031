"""A cohort that the tests of the phantom share."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from atypia.data.phantom import make_phantom


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    make_phantom(folder, figures=90, domains=3, slides_per_domain=4, seed=3)
    return folder


@pytest.fixture(scope="session")
def truth(cohort: Path) -> pd.DataFrame:
    return pd.read_csv(cohort / "truth.csv")
