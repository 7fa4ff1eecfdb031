"""The version stands in one place; what must repeat it says the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

import atypia
from atypia.version import __version__

ROOT = Path(__file__).resolve().parents[1]


def test_the_package_and_the_citation_say_the_same_version() -> None:
    assert atypia.__version__ == __version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {__version__}" in citation.splitlines()


def test_the_build_reads_the_version_from_its_one_place() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["dynamic"] == ["version"]
    assert (ROOT / settings["tool"]["hatch"]["version"]["path"]).samefile(
        ROOT / "src" / "atypia" / "version.py"
    )
