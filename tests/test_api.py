"""The public names are there, and cost nothing until they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import atypia


def test_every_public_name_can_be_reached() -> None:
    for name in atypia.__all__:
        assert getattr(atypia, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        atypia.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_importing_and_helping_load_nothing_heavy() -> None:
    script = (
        "import sys, atypia, atypia.cli.main as m\n"
        "heavy = {'torch', 'pandas', 'numpy', 'timm', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
