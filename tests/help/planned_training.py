"""A training that is planned: figures without images, two laboratories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from atypia.data.table import figures_from_frame
from atypia.training.recipe_file import read_recipe
from atypia.workflows.training.plan import TrainingPlan, plan_training


def small_plan(root: Path, changes: Sequence[str], *, figures: int, first: int) -> TrainingPlan:
    """Plan a training by `lite` with changes on figures, the first of them of laboratory a."""
    rows = np.arange(figures)
    frame = pd.DataFrame(
        {
            "figure_id": [f"f{row}" for row in rows],
            "image": [f"f{row}.png" for row in rows],
            "slide": [f"s{row // 4}" for row in rows],
            "laboratory": np.where(rows < first, "a", "b"),
            "mpp": 0.25,
            "label": rows % 2,
        }
    )
    return plan_training(figures_from_frame(frame, root), read_recipe("lite", changes))
