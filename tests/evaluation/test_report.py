from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.table import figures_from_frame
from atypia.errors import AtypiaError
from atypia.evaluation.gallery import HARD_NEGATIVES, pick_hard_negatives
from atypia.evaluation.judge import judge
from atypia.evaluation.probe import DomainProbe
from atypia.evaluation.report import render_report, write_report
from atypia.evaluation.training_story import TrainingStory

VOID = {"meta", "img", "br", "link", "hr", "input"}
HOSTILE = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Collects tags with their attributes, and refuses tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def _page(
    predictions: pd.DataFrame,
    table,
    facts: dict[str, str] | None = None,
    training: TrainingStory | None = None,
) -> Page:
    found = judge(predictions, table)
    facts = facts or {"a": "b"}
    return Page(render_report(found, table, title="A test", facts=facts, training=training))


def _story(table) -> TrainingStory:
    """All that a training can tell, of every figure of the table."""
    probes = {
        "fold 1 of 2": DomainProbe(0.6, 0.41, 0.25),
        "fold 2 of 2": DomainProbe(0.8, 0.43, 0.25),
    }
    gammas = (np.linspace(0.5, -0.5, 20).reshape(4, 5), np.linspace(1.0, 2.0, 15).reshape(3, 5))
    names = table.frame["figure_id"]
    return TrainingStory(
        probes, gammas, dict(zip(names, np.linspace(0, 1, len(names)), strict=True))
    )


@pytest.mark.parametrize("trained", [False, True])
def test_the_page_is_whole_and_asks_the_network_for_nothing(cohort, predictions, trained) -> None:
    page = _page(predictions, cohort, training=_story(cohort) if trained else None)
    for tag, attrs in page.tags:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href", "srcset", "action"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    assert not any("url(" in word or "@import" in word for word in page.words)
    policy = [meta for meta in page.all("meta") if meta.get("http-equiv")]
    assert "default-src 'none'" in str(policy[0]["content"])
    assert "For research use only. Not a medical device." in page.text


def test_contents_lead_somewhere_and_every_picture_has_words(cohort, predictions) -> None:
    page = _page(predictions, cohort, training=_story(cohort))
    places = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    links = [str(a["href"])[1:] for a in page.all("a")]
    assert links
    assert set(links) <= places
    assert len(page.all("img")) > 20
    assert all(image["alt"] for image in page.all("img"))


def test_the_numbers_are_there(cohort, predictions) -> None:
    text = _page(predictions, cohort, {"Bundle": "lite 1"}).text
    found = judge(predictions, cohort)
    assert f"{found.overall.balanced_accuracy:.3f}" in text
    assert f"{found.auroc_interval.low:.3f}-{found.auroc_interval.high:.3f}" in text
    assert "48 figures from 12 cases were evaluated" in text
    assert "11 of 12 atypical" in text
    assert "Bundle lite 1" in text
    assert "BA below own optimum" in text
    assert (
        f"{100 * found.referral.missed:.1f} % of a case's atypical figures were called normal"
        in text
    )
    assert "Scanner A" in text


@pytest.mark.parametrize(
    ("without", "cases", "note"),
    [
        (48, "unknown cases", "the figures name no slide: folds may divide slides"),
        (8, "10 cases and some unknown", "8 of 48 figures name no slide: folds may divide slides"),
    ],
)
def test_figures_that_name_no_slide_are_no_cases(
    cohort, predictions, without: int, cases: str, note: str
) -> None:
    slides = [""] * without + list(cohort.frame["slide"][without:])
    table = figures_from_frame(cohort.frame.assign(slide=slides, case=slides), cohort.root)
    text = _page(predictions, table).text
    assert f"48 figures from {cases} were evaluated" in text
    assert text.count(note) == 2  # where all is said in short, and among the notes
    assert note in judge(predictions, table).to_dict()["notes"][-1]
    assert "no slide" not in _page(predictions, cohort).text


def test_everything_a_user_writes_is_escaped(cohort, predictions) -> None:
    names = predictions["figure_id"].replace({"fig_00": HOSTILE, "fig_01": '" onload="x'})
    frame = cohort.frame.assign(
        figure_id=names, tumour=HOSTILE, phase=HOSTILE, image=cohort.frame["image"]
    )
    frame.loc[1, "image"] = "<b>.png"
    table = figures_from_frame(frame, cohort.root)
    found = judge(predictions.assign(figure_id=names), table)
    told = TrainingStory(
        {HOSTILE: DomainProbe(0.5, 0.5, 0.5)},
        hardness=dict.fromkeys(names, 0.5),
        unknown_gammas=(HOSTILE,),
    )
    html = render_report(found, table, title=HOSTILE, facts={HOSTILE: HOSTILE}, training=told)
    page = Page(html)
    assert "<script" not in html
    assert not any("onload" in attrs for _, attrs in page.tags)
    assert HOSTILE in page.text
    assert not page.all("b")


def test_an_image_that_cannot_be_read_is_a_placeholder_that_says_why(cohort, predictions) -> None:
    (cohort.root / "fig_00.png").write_bytes(b"no image")
    (cohort.root / "fig_01.png").unlink()
    page = _page(predictions, cohort)
    faults = re.findall(r"No picture: (\S+)", page.text)
    assert set(faults) == {"fig_00.png:", "fig_01.png:"}
    assert str(cohort.root) not in page.text


def test_figures_without_an_image_of_their_own_are_told(cohort, predictions) -> None:
    frame = cohort.frame.assign(image="", x=1.0, y=1.0)
    assert (
        "the table has no image" in _page(predictions, figures_from_frame(frame, cohort.root)).text
    )


def test_one_class_without_votes_still_gives_a_report(cohort, predictions) -> None:
    frame = cohort.frame.drop(columns=["vote_1", "vote_2", "vote_3"]).assign(label=0.0)
    page = _page(predictions, figures_from_frame(frame, cohort.root))
    assert "–" in page.text
    assert "nan" not in page.text.lower()
    assert "None" not in page.text
    assert "experts" not in {attrs.get("id") for _, attrs in page.tags}


def test_the_file_stays_small(cohort, predictions, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report.html"
    write_report(out, judge(predictions, cohort), cohort, title="t", facts={})
    assert 100_000 < out.stat().st_size < 6_000_000


def test_a_place_that_cannot_be_written_is_said_in_a_line(cohort, predictions, tmp_path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(AtypiaError, match="cannot be written"):
        write_report(
            tmp_path / "report.html",
            judge(predictions, cohort),
            cohort,
            title="t",
            facts={},
        )


def test_what_the_training_did_stands_there_only_where_there_is_something(
    cohort, predictions
) -> None:
    for nothing in (None, TrainingStory(), TrainingStory(hardness={"of another table": 0.9})):
        page = _page(predictions, cohort, training=nothing)
        assert "What the training did" not in page.text
    text = _page(predictions, cohort, training=_story(cohort)).text
    assert "fold 1 of 2 0.600 0.410 0.250" in text
    assert "Mean over folds 0.700 0.420 0.250" in text
    assert "Gamma of the focal loss" in text
    assert "hardest negatives" in text
    probed = TrainingStory(_story(cohort).probes)
    text = _page(predictions, cohort, training=probed).text
    assert "Mean over folds" in text
    assert "Gamma" not in text
    assert "hardest negatives" not in text


def test_gammas_that_an_earlier_version_did_not_keep_are_said_to_be_unknown(
    cohort, predictions
) -> None:
    story = TrainingStory(unknown_gammas=("fold 1 of 2", "fold 2 of 2"))
    text = _page(predictions, cohort, training=story).text
    assert "The gammas of fold 1 of 2, fold 2 of 2 are unknown" in text
    assert "Gamma of the focal loss" not in text


def test_the_hardest_normal_figures_are_shown_and_split_votes_are_marked(
    cohort, predictions
) -> None:
    frame = pd.concat([cohort.frame] * 3, ignore_index=True)
    frame["figure_id"] = [f"fig_{row:03d}" for row in range(len(frame))]
    table = figures_from_frame(frame, cohort.root)
    many = pd.concat([predictions] * 3, ignore_index=True).assign(figure_id=frame["figure_id"])
    story = _story(table)
    shown = pick_hard_negatives(judge(many, table), table, story.hardness)
    assert shown.title == "The 48 hardest negatives"
    assert len(shown.exhibits) == HARD_NEGATIVES == 48
    scores = [exhibit.score for exhibit in shown.exhibits]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == story.hardness[shown.exhibits[0].figure_id]
    normal = table.frame.loc[table.frame["vote_1"] == 0, "figure_id"]
    hardest = normal.iloc[::-1][:HARD_NEGATIVES]
    assert [exhibit.figure_id for exhibit in shown.exhibits] == list(hardest)
    marked = {exhibit.votes: exhibit.remark for exhibit in shown.exhibits}
    assert marked == {"0/3 AMF": "", "1/3 AMF": "not mined: experts are split"}
    text = _page(many, table, training=story).text
    assert "not mined: experts are split" in text
