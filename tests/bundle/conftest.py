"""Fixtures for bundles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from atypia.models.classifier import Classifier


@pytest.fixture(scope="session")
def members() -> list[Classifier]:
    """Two members with different heads on one published backbone."""
    from small_bundles import make_member

    return [make_member(0), make_member(1)]


@pytest.fixture
def bundle(tmp_path: Path, members: list[Classifier]) -> Path:
    """A bundle of the two, that a test may spoil."""

    from small_bundles import save_members

    return save_members(tmp_path / "bundle", members)


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Read all files of a folder, by their names."""

    def read(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    return read
