"""Trainings in tests leave out the export at their end, which takes longer than they do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_export() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("atypia.workflows.train.export_run_bundle", lambda *_: None)
        yield
