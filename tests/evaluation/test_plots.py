from __future__ import annotations

import base64
import warnings
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from atypia.data.predictions import check_predictions
from atypia.data.table import from_frame
from atypia.evaluation.calibration import fit_calibration
from atypia.evaluation.judge import judge
from atypia.evaluation.plots import (
    domain_plot,
    label,
    refer_curve,
    refer_plot,
    reliability_plot,
    roc_plot,
    score_plot,
    svg_bytes,
    svg_uri,
)

ALWAYS = (reliability_plot, score_plot)


@pytest.fixture
def judgement(cohort, predictions):
    return judge(predictions, cohort)


def test_every_plot_is_an_svg_and_the_same_bytes_each_time(judgement) -> None:
    for plot in (*ALWAYS, refer_plot, roc_plot, domain_plot):
        uri = svg_uri(plot(judgement))
        assert uri == svg_uri(plot(judgement))
        head, data = uri.split(",", 1)
        assert head == "data:image/svg+xml;base64"
        assert b"<svg" in base64.b64decode(data)


def test_the_roc_names_overall_and_domain_areas(judgement) -> None:
    texts = [text.get_text() for text in roc_plot(judgement).legends[0].get_texts()]
    assert texts[0].startswith("Scanner A  0.")
    assert texts[1] == "Scanner B  1.000"
    assert texts[2] == f"all figures  {judgement.overall.auroc:.3f}"


def test_one_class_leaves_out_what_is_not_defined_and_draws_the_rest(cohort, predictions) -> None:
    table = from_frame(cohort.frame.assign(label=1.0), cohort.root)
    found = judge(predictions, table)
    assert roc_plot(found) is None
    assert domain_plot(found) is None
    assert refer_plot(found) is None
    for plot in ALWAYS:
        assert svg_uri(plot(found))


def test_domain_bars_are_ordered_and_labelled_with_their_figures(judgement) -> None:
    labels = [label.get_text() for label in domain_plot(judgement).axes[0].get_yticklabels()]
    assert labels == ["Scanner A\n24 figures, 6 atypical", "Scanner B\n24 figures, 6 atypical"]


def test_reliability_counts_every_figure_once(judgement) -> None:
    counts = [bar.get_height() for bar in reliability_plot(judgement).axes[1].patches]
    assert sum(counts) == 48


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
    calibration = fit_calibration(logits, truth, truth, frame["case"].to_numpy(), fitted_on="x")
    p = calibration.probability(logits)
    made = pd.DataFrame({"figure_id": frame["figure_id"], "p_atypical": p})
    made["call"] = np.where(calibration.call(p), "atypical", "normal")
    made["refer"] = calibration.refer(p)
    found = judge(check_predictions(made), from_frame(frame, cohort.root))
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


def test_names_with_dollar_signs_do_not_become_mathematics(cohort, predictions) -> None:
    table = from_frame(
        cohort.frame.assign(scanner=cohort.frame["scanner"] + " $\\frac{$"), cohort.root
    )
    assert svg_uri(roc_plot(judge(predictions, table)))


LETTERS = ("病理科 ' & <b>", "Патология हिन्दी 😀", "escape \x1b[31m\x07")


def test_names_in_any_letters_are_text_that_a_browser_can_show(cohort, predictions) -> None:
    names = [LETTERS[row % 3] for row in range(len(cohort.frame))]
    found = judge(predictions, from_frame(cohort.frame.assign(scanner=names), cohort.root))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no warning of a missing glyph comes on the screen
        drawings = [svg_bytes(plot(found)) for plot in (roc_plot, domain_plot)]
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)  # fails on a control character
        texts = " ".join(text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text"))
        for name in (*LETTERS[:2], "escape [31m"):
            assert name in texts
        assert b"sans-serif" in drawing


def test_wide_names_are_cut_sooner_and_keep_their_room() -> None:
    assert label("a" * 40) == "a" * 40
    wide = label("病" * 40)
    assert wide.rstrip() == "病" * 21 + " ..."
    # A browser draws each in 1 em, which is about three spaces of matplotlib's font; it has
    # measured them as two.
    assert len(wide) - len(wide.rstrip()) == 27
