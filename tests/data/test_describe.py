from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from atypia.data.describe import describe
from atypia.data.readers.open_figures import open_figures
from atypia.data.table import figures_from_frame


def test_counts_by_domain_and_in_all() -> None:
    frame = pd.DataFrame(
        {
            "figure_id": list("abcde"),
            "image": "a.png",
            "slide": ["s", "s", "t", "u", None],
            "case": ["c", "c", "c", "d", None],
            "scanner": ["A", "A", "A", "B", "B"],
            "mpp": [0.25, 0.25, 0.23, 0.5, None],
            "label": [1, 0, 0, None, None],
            "vote_x": [None, None, None, 1, None],
        }
    )
    told = describe(figures_from_frame(frame, Path()))
    assert (told.figures, told.slides, told.cases, told.domains, told.experts) == (5, 4, 3, 2, 1)
    assert (told.atypical, told.normal, told.unlabelled) == (2, 2, 1)
    row = told.by_domain.loc["A"]
    assert (row["figures"], row["slides"], row["atypical"]) == (3, 2, 1)
    assert row["share"] == pytest.approx(1 / 3) and row["mpp"] == "0.23-0.25"
    assert told.by_domain.loc["B", "mpp"] == "0.5"
    assert any("name no slide" in remark and remark.startswith("1 of 5") for remark in told.remarks)
    assert any("no mpp (um/px) is known for 1 of 5" in remark for remark in told.remarks)


def test_figures_held_out_are_counted() -> None:
    frame = pd.DataFrame({"figure_id": list("abc"), "image": "a.png"})
    frame["split"] = ["train", "Test", "held-out"]
    remarks = describe(figures_from_frame(frame, Path())).remarks
    assert any(remark.startswith("2 of 3 figures are held out") for remark in remarks)


def test_the_real_figures(ami_br: Path) -> None:
    told = describe(open_figures(ami_br))
    assert (told.figures, told.slides, told.cases) == (2894, 146, 146)
    assert (told.atypical, told.normal, told.domains, told.experts) == (648, 2246, 6, 3)
    assert told.by_domain["figures"].sum() == 2894 and told.by_domain["slides"].sum() == 146
    assert told.agreement.loc["all", "kappa"] == pytest.approx(0.572, abs=0.001)
