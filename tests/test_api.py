"""The public names are there, and cost nothing until they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
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


def test_figures_come_from_a_path_a_frame_an_open_table_or_several(tmp_path: Path) -> None:
    text = "figure_id,image,mpp,label\na,a.png,0.25,1\nb,b.png,0.25,0\n"
    (tmp_path / "one.csv").write_text(text)
    (tmp_path / "two.csv").write_text(text.replace(".png", ".tif"))
    one, two = tmp_path / "one.csv", str(tmp_path / "two.csv")
    frame = pd.read_csv(one)
    for source in (one, frame, atypia.figures_from_frame(frame), atypia.open_figures(two)):
        assert atypia.describe(source).atypical == 1
        findings = atypia.audit(source, images=False)
        assert "without a label" not in " ".join(finding.message for finding in findings)
    assert atypia.describe([one, two]).figures == 4
