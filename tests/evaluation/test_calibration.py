from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import expit

from atypia.errors import AtypiaError
from atypia.evaluation.calibration import (
    Calibration,
    cross_fit,
    fit_calibration,
    fit_temperature,
)

GOOD = {
    "temperature": 1.5,
    "bias": -0.2,
    "operating_point": 0.3,
    "refer_low": 0.25,
    "refer_high": 0.4,
    "fitted_on": "out-of-fold scores",
    "refer_rule": "by eye",
    "refer_risk": 0.1,
    "prevalence": 0.2,
    "normal_logit": -2.0,
    "atypical_logit": 1.5,
}
NEW = ("refer_rule", "refer_risk", "prevalence", "normal_logit", "atypical_logit")


def _scores(seed: int, figures: int = 4000):
    """Logits that are three times too sure and shifted; the truth follows the right ones."""
    rng = np.random.default_rng(seed)
    right = rng.normal(-1.0, 1.5, size=figures)
    truth = (rng.random(figures) < expit(right)).astype(float)
    return (right - 0.5) * 3.0, right, truth, rng.integers(0, 100, figures).astype(object)


def test_the_temperature_and_bias_that_made_the_scores_are_found() -> None:
    logits, _, truth, _ = _scores(0)
    temperature, bias = fit_temperature(logits, truth)
    assert temperature == pytest.approx(3.0, rel=0.1)
    assert bias == pytest.approx(0.5, abs=0.12)


def test_soft_targets_are_followed() -> None:
    logits, right, _, _ = _scores(1)
    temperature, bias = fit_temperature(logits, expit(right))
    assert temperature == pytest.approx(3.0, rel=0.02)
    assert bias == pytest.approx(0.5, abs=0.02)


def test_parted_scores_stay_finite_and_useless_scores_are_not_turned_over() -> None:
    truth = np.array([0.0, 0.0, 1.0, 1.0])
    logits = np.array([-2.0, -1.0, 1.0, 2.0])
    for scores in (logits, -logits):
        temperature, bias = fit_temperature(scores, truth)
        assert 0 < temperature <= 50.001
        assert math.isfinite(bias)
    assert fit_temperature(-logits, truth)[0] > 40


def test_calibrated_probabilities_mean_what_they_say_and_the_band_holds_the_point() -> None:
    logits, _, truth, clusters = _scores(2)
    calibration = fit_calibration(logits, truth, truth, clusters, clusters, fitted_on="a test")
    p = calibration.probability(logits)
    assert p.mean() == pytest.approx(truth.mean(), abs=0.01)
    assert calibration.refer_low < calibration.operating_point < calibration.refer_high
    assert calibration.prevalence == pytest.approx(truth.mean())
    assert calibration.fitted_on == "a test"
    # Well calibrated, so balanced accuracy is greatest near the share of atypical figures.
    assert calibration.operating_point == pytest.approx(truth.mean(), abs=0.06)


def test_the_refer_band_keeps_the_risk_of_each_class_or_says_that_it_does_not() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(3000) < 0.2).astype(float)
    clusters = rng.integers(0, 100, 3000).astype(object)
    for apart, promised in ((2.0, 0.1), (1.0, None)):
        logits = rng.normal(size=3000) + apart * truth
        calibration = fit_calibration(logits, truth, truth, clusters, clusters, fitted_on="a test")
        p = calibration.probability(logits)
        unseen = (calibration.call(p) != (truth == 1)) & ~calibration.refer(p)
        assert calibration.refer_risk == promised
        if promised:
            assert calibration.refer(p).mean() < 0.3
            for kind in (0, 1):
                assert unseen[truth == kind].mean() == pytest.approx(promised, abs=0.02)
        else:
            assert calibration.refer(p).mean() == pytest.approx(0.3, abs=0.01)
            assert calibration.refer_rule.startswith("no promise")


def test_another_prevalence_moves_probabilities_and_neither_calls_nor_referrals() -> None:
    logits, right, _, _ = _scores(6)
    rng = np.random.default_rng(6)
    truth = (rng.random(len(right)) < expit(right)).astype(float)
    fitted = fit_calibration(logits, truth, truth, np.arange(4000), np.zeros(4000), fitted_on="x")
    # Half of the normal figures are gone, so that atypical ones have become more common.
    kept = (truth == 1) | (rng.random(len(truth)) < 0.5)
    moved = fitted.at_prevalence(float(truth[kept].mean()))
    before, after = fitted.probability(logits[kept]), moved.probability(logits[kept])
    assert before.mean() < truth[kept].mean() - 0.05
    assert after.mean() == pytest.approx(truth[kept].mean(), abs=0.015)
    assert (moved.call(after) == fitted.call(before)).all()
    assert (moved.refer(after) == fitted.refer(before)).all()
    assert moved.refer_risk == fitted.refer_risk
    again = moved.at_prevalence(fitted.prevalence)
    assert again.bias == pytest.approx(fitted.bias)
    assert again.refer_high == pytest.approx(fitted.refer_high)


def test_a_band_without_an_end_stays_so_at_another_prevalence() -> None:
    calibration = Calibration.from_dict({**GOOD, "refer_low": 0.0, "refer_high": 1.0})
    moved = calibration.at_prevalence(0.7)
    assert (moved.refer_low, moved.refer_high) == (0.0, 1.0)


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, 22.0, math.nan])
def test_a_prevalence_out_of_range_is_refused(prevalence: float) -> None:
    with pytest.raises(AtypiaError, match=r"prevalence .*: expected the share of atypical"):
        Calibration.from_dict(GOOD).at_prevalence(prevalence)


def test_a_calibration_of_an_older_bundle_is_read_and_does_not_pretend_to_know() -> None:
    older = Calibration.from_dict({name: of for name, of in GOOD.items() if name not in NEW})
    assert (older.refer_rule, older.refer_risk, older.prevalence) == ("not recorded", None, None)
    assert Calibration.from_dict(older.to_dict()) == older
    with pytest.raises(AtypiaError, match=r"does not say what share .* train it again"):
        older.at_prevalence(0.3)


def test_the_means_of_both_classes_are_kept_so_that_a_laboratory_can_be_aligned() -> None:
    logits, _, truth, clusters = _scores(7)
    fitted = fit_calibration(logits, truth, truth, clusters, clusters, fitted_on="x")
    # A laboratory like those of training is left as it is, at any share of atypical figures.
    assert fitted.aligned_to(float(logits.mean())).bias == pytest.approx(fitted.bias)
    moved = fitted.aligned_to(float(logits.mean()) - 1.0)
    assert moved.bias - fitted.bias == pytest.approx(0.5 / fitted.temperature)
    assert moved.operating_point == fitted.operating_point
    rare = (truth == 0) | (np.random.default_rng(7).random(len(truth)) < 0.2)
    mean = float(logits[rare].mean())
    told = fitted.at_prevalence(float(truth[rare].mean()))
    assert told.aligned_to(mean).bias == pytest.approx(told.bias, abs=0.02)
    assert fitted.aligned_to(mean).bias - fitted.bias > 0.1


def test_figures_without_truth_or_target_do_not_count() -> None:
    logits, _, truth, clusters = _scores(3, figures=600)
    gaps = truth.copy()
    gaps[::3] = np.nan
    with_gaps = fit_calibration(logits, gaps, gaps, clusters, clusters, fitted_on="x")
    kept = np.isfinite(gaps)
    some = clusters[kept]
    without = fit_calibration(logits[kept], gaps[kept], gaps[kept], some, some, fitted_on="x")
    assert with_gaps.temperature == pytest.approx(without.temperature)
    assert with_gaps.operating_point == pytest.approx(without.operating_point, abs=0.02)


def test_a_diverged_training_is_named() -> None:
    logits = np.array([0.0, np.nan, 1.0])
    with pytest.raises(AtypiaError, match="1 of 3 scores are not finite"):
        truth = np.array([0.0, 1, 1])
        fit_calibration(logits, truth, truth, np.arange(3), np.arange(3), fitted_on="x")


def test_one_class_is_refused_in_words() -> None:
    with pytest.raises(AtypiaError, match="both classes"):
        fit_temperature(np.arange(3.0), np.zeros(3))


def test_a_fold_has_no_say_in_its_own_calibration() -> None:
    logits, _, truth, clusters = _scores(4, figures=900)
    folds = np.array([int(c) % 3 for c in clusters])
    before = cross_fit(logits, truth, truth, folds, clusters, np.zeros(len(folds)))
    turned = truth.copy()
    turned[folds == 1] = 1 - turned[folds == 1]
    after = cross_fit(logits, turned, turned, folds, clusters, np.zeros(len(folds)))
    assert before.calibrations[1] == after.calibrations[1]
    assert before.calibrations[0] != after.calibrations[0]
    assert (before.call[folds == 1] == after.call[folds == 1]).all()


def test_a_case_met_in_a_fold_has_no_say_in_it_through_another_fold() -> None:
    logits, _, truth, clusters = _scores(5, figures=900)
    folds = np.arange(900) % 3
    shared = clusters == clusters[0]
    clusters = np.where(
        shared, "shared", np.array([f"{c}-{f}" for c, f in zip(clusters, folds, strict=True)])
    )
    before = cross_fit(logits, truth, truth, folds, clusters, np.zeros(len(folds)))
    turned = np.where(shared, 1 - truth, truth)
    after = cross_fit(logits, turned, turned, folds, clusters, np.zeros(len(folds)))
    assert before.calibrations == after.calibrations


def test_cross_fitting_needs_two_folds() -> None:
    truth = np.array([0.0, 1.0])
    with pytest.raises(AtypiaError, match="at least two folds"):
        cross_fit(truth, truth, truth, np.zeros(2, dtype=int), np.arange(2), np.arange(2))


def test_dictionary_and_back() -> None:
    calibration = Calibration.from_dict(GOOD)
    assert calibration.to_dict() == GOOD
    assert list(calibration.to_dict()) == list(GOOD)  # the file's order of keys
    assert list(calibration.call([0.3, 0.31])) == [False, True]
    assert list(calibration.refer([0.2, 0.25, 0.4, 0.5])) == [False, True, True, False]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": 0.0}, "temperature: .* greater than 0, got 0.0"),
        ({"temperature": math.nan}, "temperature: .* finite number, got nan"),
        ({"bias": "0.1"}, "bias: .* number, got '0.1'"),
        ({"bias": 10**400}, "bias: .* number, got 1000"),
        ({"bias": True}, "bias: .* number, got True"),
        ({"operating_point": 0.5}, "refer_low <= operating_point <= refer_high"),
        ({"refer_low": -0.1}, "refer_low: .* greater than or equal to 0, got -0.1"),
        ({"refer_high": 1.1}, "refer_high: .* less than or equal to 1, got 1.1"),
        ({"fitted_on": 3}, "fitted_on: .* string, got 3"),
        ({"refer_rule": None}, "refer_rule: .* string, got None"),
        ({"refer_risk": 1.0}, "refer_risk: .* less than 1, got 1.0"),
        ({"prevalence": 0}, "prevalence: .* greater than 0, got 0"),
        ({"prevalence": "0.2"}, "prevalence: .* number, got '0.2'"),
        ({"threshold": 0.5}, "threshold: Unexpected .*, got 0.5"),
        ({"bias": "x", "refer_low": -1}, r"bias: .* got 'x' \(and 1 more\)"),
    ],
)
def test_a_wrong_calibration_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(AtypiaError, match=words) as caught:
        Calibration.from_dict({**GOOD, **change})
    assert "\n" not in str(caught.value)


def test_a_change_is_checked_as_well() -> None:
    with pytest.raises(ValidationError, match="refer_low <= operating_point"):
        dataclasses.replace(Calibration.from_dict(GOOD), operating_point=0.9)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(AtypiaError, match="refer_high: Field required"):
        Calibration.from_dict({k: v for k, v in GOOD.items() if k != "refer_high"})


@pytest.mark.parametrize("pairs", [1, 10, 1000])
def test_scores_without_an_error_do_not_make_probabilities_certain(pairs: int) -> None:
    # Platt 1999: n figures of a class aim at (n + 1) / (n + 2), not at 1.
    logits, targets = np.tile([-1.0, 1.0], pairs), np.tile([0.0, 1.0], pairs)
    temperature, bias = fit_temperature(logits, targets)
    assert expit(1 / temperature + bias) == pytest.approx((pairs + 1) / (pairs + 2), rel=1e-4)
