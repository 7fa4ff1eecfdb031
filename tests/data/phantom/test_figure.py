from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from atypia.data.phantom.cohort import plan_cohort, render_figure
from atypia.data.phantom.domains import DOMAIN_LOOKS
from atypia.data.phantom.figure import (
    BUILDERS,
    OTHER,
    PROMETAPHASE,
    build_figure,
)
from atypia.data.phantom.texture import draw_textures


@pytest.mark.parametrize(("phase", "kind"), BUILDERS)
def test_severity_changes_the_figure_and_nothing_else(phase: str, kind: str) -> None:
    """The chromatin differs between severities, so the class can be seen; the frame does not."""
    look = DOMAIN_LOOKS[0]
    bank = draw_textures(np.random.default_rng(0), look.mpp, 128)
    plan = replace(plan_cohort(3, 1, 1, 0.3, seed=0)[0], phase=phase, kind=kind)
    plain, severe = (
        render_figure(replace(plan, severity=severity), look, bank, 128).astype(int)
        for severity in (0.0, 1.0)
    )
    dark = plain[44:84, 44:84].mean(axis=2) < 80
    assert dark.mean() > 0.05, "there is chromatin in the middle"
    assert np.abs(plain - severe)[40:88, 40:88].mean() > 5


def test_scattering_grows_with_severity() -> None:
    def spread(severity: float) -> float:
        figures = [
            build_figure(np.random.default_rng(seed), PROMETAPHASE, OTHER, severity)
            for seed in range(40)
        ]
        return float(np.mean([np.hypot(figure.x, figure.y).mean() for figure in figures]))

    assert spread(0.0) < spread(0.3) < spread(0.6) < spread(1.0)
