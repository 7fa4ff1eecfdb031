"""The model card says what a user must know."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from atypia.bundle.card import model_card
from small_bundles import CALIBRATION, make_manifest


def test_the_card_tells_limits_operating_point_and_domains() -> None:
    by_domain = pd.DataFrame(
        {"domain": ["breast | XR", "all"], "auroc": [0.91234, float("nan")], "figures": [3, 9]}
    )
    card = model_card(
        make_manifest(2), CALIBRATION, data="AMi-Br", licence="CC-BY-4.0", by_domain=by_domain
    )
    assert "not a medical device" in card
    assert "Called atypical above 0.4; referred to a person from 0.3 to 0.6" in card
    assert "Refer band: not recorded" in card
    assert "| breast \\| XR | 0.912 | 3 |" in card
    assert "| all | - | 9 |" in card
    known = replace(CALIBRATION, refer_rule="promises nothing", prevalence=0.2239)
    card = model_card(make_manifest(2), known, data="x", licence="y", by_domain=by_domain)
    assert "- Refer band: promises nothing\n" in card
    assert "is calibrated: 22.4 %" in card
    empty = model_card(
        make_manifest(1), CALIBRATION, data="x", licence="y", by_domain=by_domain.iloc[:0]
    )
    assert "has not been evaluated" in empty


def test_results_on_domains_left_out_are_not_those_of_known_domains() -> None:
    left_out = pd.DataFrame({"domain": ["lymphoma"], "auroc": [0.901]})
    card = model_card(
        make_manifest(1), CALIBRATION, data="x", licence="y", by_domain=None, left_out=left_out
    )
    known, unseen = card.split("## Accuracy in domains unseen in training")
    assert "Not measured: all held-out figures were of domains unseen in training" in known
    assert "| lymphoma | 0.901 |" in unseen
