"""Which figures a report shows. The hardest negatives, with the page: test_report.py."""

from __future__ import annotations

from atypia.data.table import figures_from_frame
from atypia.evaluation.gallery import PER_GALLERY, make_galleries
from atypia.evaluation.judge import judge


def test_galleries_show_the_figures_they_promise(cohort, predictions) -> None:
    shown = {
        gallery.key: gallery.exhibits
        for gallery in make_galleries(judge(predictions, cohort), cohort)
    }
    assert [exhibit.figure_id for exhibit in shown["missed"]] == ["fig_00"]
    assert [exhibit.figure_id for exhibit in shown["false-alarms"]] == ["fig_01"]
    assert shown["missed"][0].votes == "3/3 AMF"
    assert shown["missed"][0].domain == "Scanner A"
    scores = [exhibit.score for exhibit in shown["sure-normal"]]
    assert scores == sorted(scores)
    assert len(scores) == PER_GALLERY
    assert all(exhibit.truth == exhibit.call == "atypical" for exhibit in shown["sure-atypical"])
    assert {exhibit.votes for exhibit in shown["contested"]} <= {"1/3 AMF", "2/3 AMF"}
    assert all(exhibit.thumbnail for gallery in shown.values() for exhibit in gallery)


def test_only_figures_with_split_votes_are_contested(cohort, predictions) -> None:
    frame = cohort.frame.assign(vote_3=cohort.frame["vote_1"])
    frame.loc[[5, 8], "vote_3"] = 1 - frame.loc[[5, 8], "vote_3"]
    table = figures_from_frame(frame, cohort.root)
    shown = {gallery.key: gallery for gallery in make_galleries(judge(predictions, table), table)}
    assert {exhibit.figure_id for exhibit in shown["contested"].exhibits} == {"fig_05", "fig_08"}
