from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from atypia.data.predictions import check_predictions
from atypia.data.table import figures_from_frame
from atypia.evaluation.calibration import fit_calibration
from atypia.evaluation.judge import judge
from atypia.evaluation.plots import refer_plot
from atypia.evaluation.refer_curve import refer_curve


def test_referring_the_doubtful_first_starts_at_the_error_of_all(cohort, predictions) -> None:
    p = predictions["p_atypical"].to_numpy().copy()
    # The two wrong figures become the most doubtful ones.
    p[[0, 1]] = [0.39, 0.41]
    found = judge(predictions.assign(p_atypical=p), cohort)
    curve = refer_curve(found)
    assert (curve.share[0], curve.error[0]) == (0.0, pytest.approx(2 / 48))
    assert curve.error[2] == 0.0
    assert (np.diff(curve.share) > 0).all()
    # One of a case's one atypical and of another's three normal figures, over 12 cases.
    assert curve.missed[0] == pytest.approx(1 / 12)
    assert curve.false_alarms[0] == pytest.approx(1 / 3 / 12)
    assert curve.missed[2] == curve.false_alarms[2] == pytest.approx(0.0)


def test_the_refer_curve_passes_through_the_band_that_keeps_its_risk(cohort) -> None:
    rng = np.random.default_rng(0)
    frame = pd.concat([cohort.frame] * 20, ignore_index=True)
    frame = frame.assign(
        figure_id=[str(row) for row in range(len(frame))],
        case=[f"case {row // 4}" for row in range(len(frame))],
    )
    truth = (frame["vote_1"] + frame["vote_2"] + frame["vote_3"] >= 2).to_numpy(dtype=float)
    logits = rng.normal(size=len(truth)) + 2 * truth
    calibration = fit_calibration(
        logits, truth, truth, frame["case"].to_numpy(), np.zeros(len(truth)), fitted_on="x"
    )
    p = calibration.probability(logits)
    made = pd.DataFrame({"figure_id": frame["figure_id"], "p_atypical": p})
    made["call"] = np.where(calibration.call(p), "atypical", "normal")
    made["refer"] = calibration.refer(p)
    found = judge(check_predictions(made), figures_from_frame(frame, cohort.root))
    curve = refer_curve(found)
    at = int(np.argmin(np.abs(curve.share - found.referral.share)))
    assert curve.error[at] == pytest.approx(found.referral.error_kept, abs=0.01)
    assert curve.missed[at] == pytest.approx(found.referral.missed, abs=0.01)
    assert curve.false_alarms[at] == pytest.approx(found.referral.false_alarms, abs=0.01)
    rings = [line for line in refer_plot(found).axes[0].lines if line.get_marker() == "o"]
    assert [ring.get_ydata()[0] for ring in rings] == [
        pytest.approx(100 * value)
        for value in (
            found.referral.error_kept,
            found.referral.missed,
            found.referral.false_alarms,
        )
    ]
