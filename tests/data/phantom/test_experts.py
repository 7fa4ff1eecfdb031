from __future__ import annotations

import numpy as np

from atypia.data.phantom.experts import EXPERTS, draw_votes


def test_experts_disagree_more_where_a_figure_is_more_ambiguous() -> None:
    severity = np.repeat([0.02, 0.3, 0.5, 0.7, 0.98], 2000)
    votes = draw_votes(np.random.default_rng(0), severity, EXPERTS)
    split = (votes.min(axis=1) != votes.max(axis=1)).reshape(5, -1).mean(axis=1)
    assert split[0] + 0.02 < split[1] < split[2] - 0.3
    assert split[4] < split[3] < split[2] - 0.3
    assert split[2] > 0.6, "at the border three experts split in three of four cases"
