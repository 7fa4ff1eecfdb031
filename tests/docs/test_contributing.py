"""CONTRIBUTING.md sends newcomers to files that exist."""

from __future__ import annotations

import re
from pathlib import Path

from docs_commands import ROOT

PAGE = ROOT / "CONTRIBUTING.md"
_PLACE = re.compile(r"`([\w./{},-]+(?:/|\.(?:py|toml)))`")


def _alternatives(path: str) -> list[str]:
    """Return the paths that `a/{b,c}.py` stands for."""
    braces = re.search(r"\{(.+?)\}", path)
    return [path.replace(braces[0], part) for part in braces[1].split(",")] if braces else [path]


def _exists(path: str) -> bool:
    roots = (ROOT, ROOT / "src" / "atypia")
    # In the text a file may be named without its folder.
    return any((root / path).exists() for root in roots) or (
        "/" not in path and any(Path(ROOT / "src").rglob(path))
    )


def test_files_and_folders_that_it_names_exist() -> None:
    places = _PLACE.findall(PAGE.read_text(encoding="utf-8"))
    paths = [path for place in places for path in _alternatives(place)]
    assert len(paths) > 50
    assert [path for path in paths if not _exists(path)] == []
