"""`atypia vote`: what a user types, sees, and gets wrong."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable
from atypia.study.create import create_study
from atypia.study.store import Ballot
from atypia.study.study import Study
from command import call


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    return make_phantom(tmp_path_factory.mktemp("cohort"), figures=40, domains=2, size_px=48)


@pytest.fixture
def study(cohort: FigureTable, tmp_path: Path) -> Study:
    return create_study(cohort, tmp_path / "study", ["anna", "ben", "eva"], rule="all").study


def vote_all(study: Study, name: str) -> None:
    ballots = [
        Ballot(one.id, "atypical" if int(one.id[:4], 16) % 3 else "normal", f"{name}-{number}")
        for number, one in study.upcoming(name, 1000)
    ]
    study.vote(name, ballots, after=0)
    study.lock(name)


def test_the_road_from_figures_to_a_table_to_train_on(
    cohort: FigureTable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "study"
    (tmp_path / "definition.md").write_text("Our own **definition**.")
    new = ("vote", "new", cohort.root, "--experts", "anna, ben,eva", "--out", folder)
    assert call(monkeypatch, *new, "--definition", tmp_path / "definition.md") == 0
    assert f"start voting with atypia vote serve {folder}" in capsys.readouterr().out
    study = Study(folder)
    assert study.settings.experts == ("anna", "ben", "eva")
    page = tmp_path / "anna.html"
    assert call(monkeypatch, "vote", "page", folder, "--expert", "anna", "--out", page) == 0
    assert "<strong>definition</strong>" in page.read_text()
    assert call(monkeypatch, "vote", "close", folder) == 2
    assert "anna and ben and eva have not ended their parts" in capsys.readouterr().err
    assert call(monkeypatch, "vote", "agree", folder) == 2
    assert "agreement is told once the study is closed" in capsys.readouterr().err
    for name in study.settings.experts:
        vote_all(study, name)
    assert call(monkeypatch, "vote", "close", folder) == 0
    assert "anna: 40 of 40 voted on" in capsys.readouterr().out
    assert call(monkeypatch, "vote", "agree", folder) == 0
    printed = capsys.readouterr().out
    assert "Fleiss' kappa" in printed
    assert (folder / "agreement.html").is_file()
    out = tmp_path / "voted" / "figures.csv"
    assert call(monkeypatch, "vote", "export", folder, "--out", out) == 0
    assert "40 figures with votes" in capsys.readouterr().out
    assert call(monkeypatch, "data", "check", out.parent) == 0


def test_answers_are_collected_and_bad_ones_named(
    study: Study,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = {"format_version": 1, "study": study.id, "expert": "anna", "votes": []}
    (tmp_path / "good.json").write_text(json.dumps(good))
    (tmp_path / "bad.json").write_text("[]")
    paths = (tmp_path / "bad.json", tmp_path / "good.json")
    assert call(monkeypatch, "vote", "collect", study.folder, *paths) == 1
    shown = capsys.readouterr()
    assert "anna: 0 new votes" in shown.out
    assert "bad.json: is no sheet of answers" in shown.err


def test_slides_with_points_make_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (700, 700, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.tif")
    (tmp_path / "one.csv").write_text("x,y\n350,350\n200,300\n99999,1\n")
    (tmp_path / "list.csv").write_text("slide,points,mpp\none.tif,one.csv,0.25\n")
    new = ("vote", "new", tmp_path / "list.csv", "--experts", "anna", "--rule", "all")
    assert call(monkeypatch, *new, "--out", tmp_path / "study") == 1
    shown = capsys.readouterr()
    assert "does not lie on the slide" in shown.err
    assert len(Study(tmp_path / "study").table) == 2


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--experts", "anna,Anna,eva"), "anna is given twice"),
        (("--experts", "anna,ben"), "rule two-and-one needs three experts, got 2"),
        (("--experts", "anna,ben,eva", "--rule", "most"), "rule 'most': expected two-and-one"),
        (("--experts", "anna,,eva"), "'' cannot be an expert's name"),
        (("--experts", "anna,ben,lead"), "'lead' cannot be an expert's name"),
        (("--experts", "anna,ben,eva", "--arbiter", "evva"), "did you mean eva?"),
    ],
)
def test_what_cannot_be_a_study_is_one_line_and_leaves_nothing(
    cohort: FigureTable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    problem: str,
) -> None:
    out = tmp_path / "study"
    assert call(monkeypatch, "vote", "new", cohort.root, *words, "--out", out) == 2
    assert problem in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_server_says_in_a_line_why_it_cannot_start(
    study: Study,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cases = [
            (("--port", port), f"127.0.0.1:{port}: cannot be listened on"),
            (("--host", "203.0.113.7", "--port", 0), "203.0.113.7:0: cannot be listened on"),
            (("--host", "0.0.0.0"), "--host 0.0.0.0: stands for every address of this machine"),
            (("--tls-cert", tmp_path / "cert.pem"), "--tls-cert and --tls-key: give both"),
            (("--renew", "ana", "--port", 0), "--renew ana: expected anna, ben, eva or lead"),
            (
                (
                    "--port",
                    0,
                    "--tls-cert",
                    tmp_path / "cert.pem",
                    "--tls-key",
                    tmp_path / "cert.pem",
                ),
                "cert.pem: cannot be used as a certificate",
            ),
        ]
        for words, problem in cases:
            assert call(monkeypatch, "vote", "serve", study.folder, *words) == 2
            assert problem in capsys.readouterr().err
    assert call(monkeypatch, "vote", "serve", tmp_path / "nowhere") == 2
    assert "cannot be read as the settings of a study" in capsys.readouterr().err


def test_one_server_has_a_study_and_ctrl_c_is_how_it_ends(study: Study) -> None:
    import signal

    command = [sys.executable, "-m", "atypia", "vote", "serve", str(study.folder), "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as first:  # type: ignore[call-overload]
        assert first.stdout is not None
        names = [first.stdout.readline().split()[0] for _ in range(4)]
        assert names == ["anna", "ben", "eva", "lead"]
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 2
        assert "another server has this study; use its links, or stop it first" in second.stderr
        first.send_signal(signal.SIGINT)
        _, err = first.communicate(timeout=30)
    assert first.returncode == 0
    assert err.endswith("stopped; all votes are saved\n")
    assert "Traceback" not in err


def test_labels_and_votes_in_the_table_reach_nobody(
    cohort: FigureTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = cohort.frame.assign(label=1.0, vote_secret=1.0)
    frame.to_csv(cohort.root / "with-votes.csv", index=False)
    new = ("vote", "new", cohort.root / "with-votes.csv", "--experts", "anna", "--rule", "all")
    assert call(monkeypatch, *new, "--out", tmp_path / "study") == 0
    table = pd.read_csv(tmp_path / "study" / "figures.csv")
    assert table["label"].isna().all()
    assert "vote_secret" not in table
