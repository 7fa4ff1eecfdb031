"""All real votes through the whole way: new, votes by the server's API, close, export, train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from atypia.apps.vote.app import make_app
from atypia.apps.vote.links import make_links
from atypia.data.readers.open_figures import open_figures
from atypia.data.votes import hard_labels, soft_labels
from atypia.study.export import make_voted_frame
from atypia.study.study import Study
from atypia.training.figures import training_figures
from atypia.training.recipe_file import read_recipe
from command import call

ADDRESS = "http://127.0.0.1:8808"
SHORT = ("backbone.input_px=32", "schedule.epochs=1", "schedule.min_steps=1", "folds.count=2")
WORDS = {1.0: "atypical", 0.0: "normal"}


def replay(study: Study, frame: pd.DataFrame) -> None:
    """Let each expert of a table give the votes that he has in it; an absent one cannot tell."""
    client = TestClient(make_app(study, hosts=["127.0.0.1:8808"]), base_url=ADDRESS)
    links = make_links(study, ADDRESS)
    votes = frame.set_index("figure_id")
    for name in study.settings.experts:
        while (state := client.get(f"{links[name]}next?count=100").json())["next"]:
            ballots = [
                {
                    "showing": item["id"],
                    "answer": WORDS.get(
                        votes.loc[study.showing(name, item["id"]).figure, f"vote_{name}"], "unsure"
                    ),
                    "request": f"request-{item['id']}",
                }
                for item in state["next"]
            ]
            body = {"after": state["change"], "votes": ballots}
            assert client.post(f"{links[name]}votes", json=body).status_code == 200
        assert client.post(f"{links[name]}lock").status_code == 200
    assert client.post(f"{links['lead']}close", json={}).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ami_br", "atnorm_md"])
def test_all_real_votes_give_the_soft_labels_that_their_readers_give(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = request.getfixturevalue(name)
    frame = open_figures(source).frame
    experts = [column.removeprefix("vote_") for column in frame if column.startswith("vote_")]
    new = ("vote", "new", source, "--experts", ",".join(experts), "--rule", "all")
    assert call(monkeypatch, *new, "--out", tmp_path / "study") == 0
    replay(Study(tmp_path / "study"), frame)
    out = tmp_path / "voted" / "figures.csv"
    assert call(monkeypatch, "vote", "export", tmp_path / "study", "--out", out) == 0
    voted, labels = open_figures(out), read_recipe("lite").soft_labels
    blind = frame.assign(label=np.nan)
    assert list(voted.frame["figure_id"]) == list(frame["figure_id"])
    for method in ("fraction", "majority", "dawid-skene"):
        np.testing.assert_array_equal(soft_labels(voted.frame, method), soft_labels(blind, method))
    np.testing.assert_array_equal(
        training_figures(voted, labels).target, soft_labels(blind, "fraction").astype(np.float32)
    )
    train = ("train", out, *(word for setting in SHORT for word in ("--set", setting)))
    assert call(monkeypatch, *train, "--out", tmp_path / "run", "--device", "cpu") == 0
    assert (tmp_path / "run" / "bundle" / "bundle.json").is_file()


@pytest.mark.slow
def test_two_and_one_gives_the_majority_of_amibrs_three_experts(
    ami_br: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = open_figures(ami_br).frame
    experts = [column.removeprefix("vote_") for column in frame if column.startswith("vote_")]
    new = ("vote", "new", ami_br, "--experts", ",".join(experts))
    assert call(monkeypatch, *new, "--out", tmp_path / "study") == 0
    study = Study(tmp_path / "study")
    replay(study, frame)
    voted, none = make_voted_frame(study)
    assert none == []
    np.testing.assert_array_equal(hard_labels(voted), hard_labels(frame))
