from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from atypia.cli.summary import print_summary
from atypia.data.predictions import CALLS, check_predictions
from atypia.data.table import FigureTable, figures_from_frame
from atypia.errors import TableError
from atypia.evaluation.judge import Judgement, infer_operating_point, judge
from atypia.evaluation.report import render_report


def _changed(cohort: FigureTable, **columns: object) -> FigureTable:
    return figures_from_frame(cohort.frame.assign(**columns), cohort.root)


def test_calls_are_judged_against_the_majority_of_votes(cohort, predictions) -> None:
    found = judge(predictions, cohort)
    assert (found.overall.figures, found.overall.atypical, found.cases) == (48, 12, 12)
    # One atypical figure scores 0.05, one normal figure 0.97; all the others are right.
    assert found.overall.sensitivity == pytest.approx(11 / 12)
    assert found.overall.specificity == pytest.approx(35 / 36)
    assert found.balanced_accuracy_interval is not None
    assert found.auroc_interval is not None
    assert found.notes == ()


def test_the_label_goes_before_the_votes(cohort, predictions) -> None:
    found = judge(predictions, _changed(cohort, label=0.0))
    assert found.overall.atypical == 0


def test_labels_against_their_votes_and_notes_of_the_table_are_noted(cohort, predictions) -> None:
    table = replace(_changed(cohort, label=1.0), notes=("what was read otherwise",))
    notes = judge(predictions, table).notes
    assert notes[0] == "what was read otherwise"
    assert any(note.startswith("36 of 48 labels contradict") for note in notes)


def test_domains_come_with_intervals_and_experts_with_kappa(cohort, predictions) -> None:
    found = judge(predictions, cohort)
    assert list(found.domains.frame["domain"]) == ["breast, Scanner A", "breast, Scanner B"]
    assert found.domains.frame["balanced_accuracy"].iloc[1] == 1.0
    first = found.domains.frame.iloc[0]
    # A point above 0.05 and below 0.97 cannot call both outliers right; one above 0.97 is worse.
    assert first["ba_lost"] == pytest.approx(0.0)
    assert found.domains.summary.loc["ba_lost", "worst"] == pytest.approx(0.0)
    assert first["ba_low"] < first["balanced_accuracy"] < first["ba_high"]
    assert found.experts is not None
    assert found.experts["domain"].tolist()[-1] == "all"
    assert found.experts["unanimous"].iloc[-1] == pytest.approx(0.5)


def test_referral_counts_what_is_left_wrong(cohort, predictions) -> None:
    predictions = predictions.assign(refer=predictions["figure_id"].isin(["fig_00", "fig_05"]))
    found = judge(predictions, cohort).referral
    assert found.referred == 2
    assert found.share == pytest.approx(2 / 48)
    assert found.error == pytest.approx(2 / 48)
    assert found.error_kept == pytest.approx(1 / 46)
    assert found.kept.figures == 46
    # The missed figure was referred; the false alarm is one of three normal figures of its case.
    assert found.missed == 0.0
    assert found.false_alarms == pytest.approx(1 / 3 / 12)


def test_a_domain_called_at_a_point_that_does_not_suit_it_shows_what_that_costs(
    cohort, predictions
) -> None:
    second = np.arange(48) >= 24
    p = np.where(second, predictions["p_atypical"] / 4, predictions["p_atypical"])
    found = judge(predictions.assign(p_atypical=p, call=np.where(p > 0.4, *CALLS[::-1])), cohort)
    lost = found.domains.frame["ba_lost"]
    assert lost.iloc[1] == pytest.approx(0.5)
    assert found.domains.summary.loc["ba_lost", "worst"] == lost.iloc[1]


def test_figures_without_truth_are_left_out_and_counted(cohort, predictions) -> None:
    votes = cohort.frame["vote_1"].copy()
    votes[:3] = np.nan
    gone = {f"vote_{k}": cohort.frame[f"vote_{k}"].where(votes.notna()) for k in (1, 2, 3)}
    found = judge(predictions, _changed(cohort, **gone))
    assert found.overall.figures == 45
    assert any("3 figures have no label or majority" in note for note in found.notes)


def test_no_truth_at_all_is_an_error(cohort, predictions) -> None:
    bare = cohort.frame.drop(columns=["vote_1", "vote_2", "vote_3"])
    with pytest.raises(TableError, match="give a table with label or vote_"):
        judge(predictions, figures_from_frame(bare, cohort.root))


def test_one_class_is_judged_without_a_crash_and_said(cohort, predictions) -> None:
    found = judge(predictions, _changed(cohort, label=0.0))
    assert found.overall.balanced_accuracy is None
    assert found.balanced_accuracy_interval is None
    assert found.domains.counted == 0
    assert any("all judged figures are normal" in note for note in found.notes)
    json.dumps(found.to_dict(), allow_nan=False)


def test_one_case_has_no_interval_and_that_is_said(cohort, predictions) -> None:
    found = judge(predictions, _changed(cohort, case="one"))
    assert found.balanced_accuracy_interval is None
    assert any("from one case" in note for note in found.notes)


def test_a_domain_of_one_class_is_left_out_of_the_mean_and_said(cohort, predictions) -> None:
    label = np.where(np.arange(48) < 24, cohort.frame["vote_1"], 0.0)
    found = judge(predictions, _changed(cohort, label=label))
    assert found.domains.counted == 1
    assert any("breast, Scanner B" in note and "1 of 2 domains" in note for note in found.notes)


def test_the_dictionary_is_plain_json_without_nan(cohort, predictions) -> None:
    values = json.loads(json.dumps(judge(predictions, cohort).to_dict(), allow_nan=False))
    assert values["overall"]["figures"] == 48
    assert values["intervals"]["auroc"]["level"] == 0.95
    assert values["over_domains"]["balanced_accuracy"]["worst"] < 1.0
    assert len(values["domains"]) == 2


def test_the_operating_point_is_read_off_the_calls() -> None:
    p = np.array([0.1, 0.3, 0.5, 0.9])
    assert infer_operating_point(p, p > 0.4) == (0.4, 0.4)
    # Folds with different operating points overlap.
    assert infer_operating_point(p, np.array([False, True, False, True])) == (0.3, 0.5)
    assert infer_operating_point(p, np.zeros(4, dtype=bool)) is None


def test_predictions_of_a_subset_are_judged(cohort, predictions: pd.DataFrame) -> None:
    found = judge(predictions.iloc[:20].reset_index(drop=True), cohort)
    assert found.overall.figures == 20
    assert any("28 figures in the figure table but not predicted" in note for note in found.notes)


def test_a_notebook_shows_numbers_domains_and_notes() -> None:
    figures = pd.DataFrame(
        {"figure_id": list("abcd"), "image": list("abcd"), "scanner": "A<B", "label": [1, 1, 0, 0]}
    )
    calls = ["atypical", "normal", "normal", "normal"]
    scores = pd.DataFrame(
        {"figure_id": list("abcd"), "p_atypical": [0.9, 0.4, 0.2, 0.1], "call": calls}
    )
    judgement = judge(check_predictions(scores), figures_from_frame(figures))
    assert repr(judgement).startswith("Judgement of 4 figures, 2 atypical, of 4 cases: balanced")
    assert "accuracy 0.750" in repr(judgement)
    assert "AUROC 1.000" in repr(judgement.overall)
    shown = judgement._repr_html_()
    assert "A&lt;B" in shown
    assert shown.count("<li>") == len(judgement.notes)


def judge_small_domains(**columns: object) -> tuple[Judgement, FigureTable]:
    """Judge four domains, two of which are small and called wrong."""
    counts = {"large": (30, 30), "larger": (40, 40), "few": (20, 20), "fewer": (15, 15)}
    names = np.concatenate([[name] * sum(of) for name, of in counts.items()])
    truth = np.concatenate([[1] * atypical + [0] * normal for atypical, normal in counts.values()])
    ids = [f"f{number}" for number in range(len(names))]
    table = figures_from_frame(
        pd.DataFrame(
            {
                **{"figure_id": ids, "image": ids, "label": truth, "laboratory": names},
                "case": [f"{name}-{number % 5}" for number, name in enumerate(names)],
                **columns,
            }
        )
    )
    called = np.where(np.isin(names, ["few", "fewer"]), 1 - truth, truth)
    scores = pd.DataFrame(
        {"figure_id": ids, "p_atypical": called * 0.8 + 0.1, "call": np.array(CALLS)[called]}
    )
    return judge(check_predictions(scores), table), table


def test_small_domains_together_are_shown_wherever_domains_are() -> None:
    """Experts agree by domain, small ones too; all else is by what domains are judged under."""
    rng = np.random.default_rng(0)
    votes = {f"vote_{name}": rng.integers(0, 2, 210) for name in "abc"}
    found, table = judge_small_domains(tumour="breast", species="dog", **votes)
    assert found.experts is not None
    single = {"breast, few, dog", "breast, fewer, dog"}
    assert single <= set(found.experts["domain"])
    assert not single & set(found.domains.frame["domain"])
    together = "small domains together: few; fewer"
    assert found.short_names[together] == together
    assert found.short_names["breast, fewer, dog"] == "fewer"
    html = render_report(found, table, title="Small domains", facts={})
    assert "All domains share: breast, dog." in html
    assert f">{together}<" in html
    for name in ("large", "larger", "few", "fewer"):
        assert f">{name}<" in html
    printed = io.StringIO()
    print_summary(found, Console(file=printed, width=200))
    assert together in printed.getvalue()
    assert "larger" in printed.getvalue()
    assert "breast" not in printed.getvalue()


def test_small_domains_together_have_intervals_and_are_never_the_worst() -> None:
    """Together they have more atypical figures than a small domain, and stay small domains."""
    found, _ = judge_small_domains()
    together = "small domains together: few; fewer"
    frame = found.domains.frame.set_index("domain")
    assert list(frame.index) == ["large", "larger", together]
    assert frame.loc[together, "atypical"] == 35
    assert frame.loc[together, ["balanced_accuracy", "ba_low", "ba_high"]].tolist() == [0, 0, 0]
    assert list(found.domains.summary.loc["balanced_accuracy", ["mean", "worst"]]) == [2 / 3, 1]
    assert set(found.figures["domain"]) == set(frame.index)
    assert "count as one domain" in found.notes[0]
