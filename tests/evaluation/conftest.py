"""A small cohort on disk: two domains, three experts, crops, and predictions for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ablation_arms import AGAINST, arms_of, judged_figures
from atypia.data.predictions import check_predictions
from atypia.data.table import FigureTable, figures_from_frame
from atypia.evaluation.comparison import Comparison, JudgedFigures, Scores, compare

FIGURES = 48


def cohort_frame() -> pd.DataFrame:
    rows = np.arange(FIGURES)
    votes = np.stack([rows % 4 == 0, rows % 4 == 0, rows % 8 < 4], axis=1).astype(float)
    return pd.DataFrame(
        {
            "figure_id": [f"fig_{row:02d}" for row in rows],
            "image": [f"fig_{row:02d}.png" for row in rows],
            "slide": [f"slide_{row // 4}" for row in rows],
            "tumour": "breast",
            "scanner": np.where(rows < FIGURES // 2, "Scanner A", "Scanner B"),
            "vote_1": votes[:, 0],
            "vote_2": votes[:, 1],
            "vote_3": votes[:, 2],
        }
    )


def cohort_predictions() -> pd.DataFrame:
    frame = cohort_frame()
    atypical = frame["vote_1"].to_numpy() == 1
    p = np.where(atypical, 0.8, 0.2) + np.linspace(-0.15, 0.15, FIGURES)
    p[[0, 1]] = [0.05, 0.97]
    return check_predictions(
        pd.DataFrame(
            {
                "figure_id": frame["figure_id"],
                "p_atypical": p,
                "call": np.where(p > 0.4, "atypical", "normal"),
                "refer": (p > 0.3) & (p < 0.5),
            }
        )
    )


@pytest.fixture
def predictions() -> pd.DataFrame:
    return cohort_predictions()


@pytest.fixture
def cohort(tmp_path: Path) -> FigureTable:
    rng = np.random.default_rng(0)
    folder = tmp_path / "cohort"
    folder.mkdir()
    frame = cohort_frame()
    for name in frame["image"]:
        pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return figures_from_frame(frame, folder)


@pytest.fixture(scope="session")
def figures() -> JudgedFigures:
    return judged_figures()


@pytest.fixture(scope="session")
def arms(figures: JudgedFigures) -> dict[str, dict[int, Scores]]:
    return arms_of(figures)


@pytest.fixture(scope="session")
def comparison(figures: JudgedFigures, arms: dict[str, dict[int, Scores]]) -> Comparison:
    return compare(figures, arms, AGAINST)
