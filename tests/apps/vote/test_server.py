"""The server: who may see what, what is refused, and what a refusal changes (nothing)."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from atypia.apps.listening import list_hosts
from atypia.apps.vote.app import MOST_BODY_BYTES, make_app
from atypia.apps.vote.links import make_links, renew_link
from atypia.apps.vote.pages import make_expert_page, make_offline_page
from atypia.apps.vote.server import serve as serve_study
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError
from atypia.study.create import create_study
from atypia.study.store import Ballot
from atypia.study.study import Study
from programs import require_program

from .conftest import Server

ADDRESS = "http://127.0.0.1:8808"
EXPERTS = ("anna", "ben", "eva")


@pytest.fixture
def study(cohort: FigureTable, tmp_path: Path) -> Study:
    return create_study(cohort, tmp_path / "study", EXPERTS).study


@pytest.fixture
def client(study: Study) -> TestClient:
    app = make_app(study, hosts=["127.0.0.1:8808", "localhost:8808"])
    return TestClient(app, base_url=ADDRESS)


@pytest.fixture
def links(study: Study) -> dict[str, str]:
    return make_links(study, ADDRESS)


def vote_of(showing: str, request: str = "request1", answer: str = "normal") -> dict[str, Any]:
    return {"showing": showing, "answer": answer, "request": request}


def vote_all(study: Study, expert: str, answer: str) -> None:
    ballots = [
        Ballot(one.id, answer, f"{expert}-{number}")  # type: ignore[arg-type]
        for number, one in study.upcoming(expert, 1000)
    ]
    study.vote(expert, ballots, after=0)
    study.lock(expert)


def test_an_expert_votes_undoes_and_ends(client: TestClient, links: dict[str, str]) -> None:
    anna = links["anna"]
    state = client.get(f"{anna}next", params={"count": 200}).json()
    assert (state["voted"], state["of"], state["change"]) == (0, 70, 0)
    first, second, *_ = state["next"]
    change = client.post(f"{anna}votes", json={"after": 0, "votes": [vote_of(first["id"])]}).json()[
        "change"
    ]
    again = client.post(f"{anna}votes", json={"after": 0, "votes": [vote_of(first["id"])]})
    assert again.json() == {"change": change}  # the same request counts once
    assert client.post(f"{anna}lock").status_code == 400
    undone = client.post(f"{anna}undo", json={"after": change, "request": "undo0001"})
    assert undone.json() == {"change": 2}
    everything = [vote_of(one["id"], f"request-{one['id']}") for one in state["next"]]
    whole = client.post(f"{anna}votes", json={"after": 2, "votes": everything})
    assert whole.json() == {"change": 72}
    assert client.post(f"{anna}lock").json() == {"locked": True}
    state = client.get(f"{anna}next").json()
    assert (state["locked"], state["next"], state["voted"]) == (True, [], 70)
    late = client.post(
        f"{anna}votes", json={"after": 72, "votes": [vote_of(second["id"], "late0001")]}
    )
    assert late.status_code == 423
    assert late.json()["detail"] == "anna: has ended; nothing of it changes any more"


def test_a_page_with_an_older_state_is_told_so(client: TestClient, links: dict[str, str]) -> None:
    anna = links["anna"]
    first, second = client.get(f"{anna}next", params={"count": 2}).json()["next"]
    client.post(f"{anna}votes", json={"after": 0, "votes": [vote_of(first["id"])]})
    for vote in (vote_of(second["id"], "other001"), vote_of(first["id"], "other002")):
        for after in (0, 1) if vote["showing"] == first["id"] else (0,):
            refused = client.post(f"{anna}votes", json={"after": after, "votes": [vote]})
            assert refused.status_code == 409
    assert client.get(f"{anna}next").json()["voted"] == 1


def test_links_let_in_whom_they_are_for_and_no_one_else(
    client: TestClient, links: dict[str, str], study: Study
) -> None:
    for name, link in links.items():
        assert client.get(link).status_code == 200
        assert client.get(f"{link}style.css").status_code == 200
        assert client.get(link.replace(name, "nobody", 1)).status_code == 403
        for path in ("", "next", "progress", "agreement", "style.css", "picture/x?um=32"):
            wrong = f"{link[:-3]}zz/{path}"
            assert client.get(wrong).status_code in (403, 404), wrong
            assert study.key.hex() not in client.get(wrong).text
    anna, lead = links["anna"], links["lead"]
    assert client.get(f"{anna}progress").status_code == 404
    assert client.get(f"{anna}agreement").status_code == 404
    assert client.get(f"{lead}next").status_code == 403
    assert client.post(f"{anna}close", json={"now": True}).status_code in (404, 405)
    assert not study.closed
    assert client.get(f"{ADDRESS}/").status_code == 404
    before = links["anna"]
    renew_link(study, "anna")
    assert client.get(before).status_code == 403
    assert client.get(make_links(study, ADDRESS)["anna"]).status_code == 200
    assert client.get(links["ben"]).status_code == 200
    with pytest.raises(AtypiaError, match="--renew ana: expected anna, ben, eva or lead"):
        renew_link(study, "ana")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"headers": {"Host": "evil.example"}}, 421),
        ({"headers": {"Host": "127.0.0.1:9999"}}, 421),
        ({"headers": {"Origin": "http://evil.example"}}, 403),
        ({"headers": {"Origin": "null"}}, 403),
        ({"headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
        ({"content": b"x" * (MOST_BODY_BYTES + 1)}, 413),
        ({"content": b"x" * 10_000_000}, 413),
        ({"content": b"{"}, 422),
        ({"json": {"after": 0, "votes": []}}, 422),
        ({"json": {"after": -1, "votes": [vote_of("x")]}}, 422),
        ({"json": {"after": 0, "votes": [vote_of("x" * 65)]}}, 422),
        ({"json": {"after": 0, "votes": [vote_of("../key")]}}, 404),
        ({"json": {"after": 0, "votes": [vote_of("x", answer="maybe")]}}, 422),
        ({"json": {"after": 0, "votes": [vote_of("x", "a b")]}}, 422),
        ({"json": {"after": 0, "votes": [{**vote_of("x"), "given": "2020"}]}}, 422),
        ({"json": {"after": 0, "votes": [{**vote_of("OWN"), "detail": "metaphase"}]}}, 400),
    ],
)
def test_what_is_refused_changes_nothing_and_is_logged(
    client: TestClient,
    links: dict[str, str],
    study: Study,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, Any],
    status: int,
) -> None:
    showing = client.get(f"{links['anna']}next").json()["next"][0]["id"]
    good = {"json": {"after": 0, "votes": [vote_of(showing)]}}
    text = json.dumps(change, default=repr).replace("OWN", showing)
    change = json.loads(text) if "json" in change else change
    arguments = {**({} if "content" in change else good), **change}
    with caplog.at_level(logging.WARNING):
        refused = client.post(f"{links['anna']}votes", **arguments)
    assert refused.status_code == status
    assert "Traceback" not in refused.text
    assert "refused" in caplog.text
    assert links["anna"].split("/")[-2] not in caplog.text  # a token is no business of a log
    assert study.store.votes() == []
    assert client.post(f"{links['anna']}votes", **good).status_code == 200


def test_hosts_are_named_as_browsers_name_them() -> None:
    assert list_hosts("lab.example", 8808, "https") == ["lab.example:8808"]
    assert list_hosts("lab.example", 443, "https") == ["lab.example:443", "lab.example"]
    assert set(list_hosts("127.0.0.1", 80, "http")) == {
        *("127.0.0.1:80", "localhost:80", "[::1]:80", "127.0.0.1", "localhost", "[::1]")
    }
    assert list_hosts("localhost", 1, "http") == ["localhost:1", "127.0.0.1:1", "[::1]:1"]


def test_a_server_leaves_the_handlers_of_its_process_open(study: Study, tmp_path: Path) -> None:
    closed = []

    class Handler(logging.NullHandler):
        def close(self) -> None:
            closed.append(self)
            super().close()

    handler = Handler()
    logging.getLogger("of somebody else").addHandler(handler)
    (tmp_path / "cert.pem").write_text("no certificate")
    pem = {"certificate": tmp_path / "cert.pem", "key": tmp_path / "cert.pem"}
    with pytest.raises(AtypiaError, match="cannot be used as a certificate"):
        serve_study(study, host="127.0.0.1", port=0, **pem)
    assert closed == []


def test_pictures_are_of_the_queue_and_of_known_sides_alone(
    client: TestClient, links: dict[str, str], study: Study
) -> None:
    anna, bens = links["anna"], study.queue("ben")[0].id
    own = study.queue("anna")[0].id
    assert client.get(f"{anna}picture/{own}?um=24").status_code == 200
    for path, status in (
        (f"picture/{bens}?um=24", 404),
        (f"picture/{own}?um=25", 422),
        (f"picture/{own}", 422),
        ("picture/..%2F..%2Fkey?um=24", 404),
        ("picture/figures.csv?um=24", 404),
        ("..%2Fkey", 404),
        ("key", 404),
    ):
        answer = client.get(f"{anna}{path}")
        assert answer.status_code == status, path
        assert study.key not in answer.content


def test_headers_keep_pages_to_themselves(client: TestClient, links: dict[str, str]) -> None:
    for link in (links["anna"], links["lead"], f"{links['anna']}next", f"{ADDRESS}/nowhere"):
        headers = client.get(link).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "set-cookie" not in headers


def test_an_expert_is_sent_nothing_that_tells_more_than_the_picture(
    client: TestClient, links: dict[str, str], study: Study, cohort: FigureTable
) -> None:
    vote_all(study, "ben", "atypical")
    bodies = [client.get(f"{links['anna']}{path}").content for path in ("", "next?count=200")]
    for one in study.queue("anna"):
        picture = client.get(f"{links['anna']}picture/{one.id}?um=24").content
        assert Image.open(io.BytesIO(picture)).info == {}
        bodies.append(picture)
    sent = b"\0".join(bodies)
    frame = cohort.frame
    secrets = set()
    for column in ("figure_id", "image", "slide", "case", "tumour", "scanner", "laboratory"):
        secrets |= {str(value) for value in frame[column]} - {"unknown", ""}
    secrets |= {Path(image).name for image in frame["image"]} | {"ben", "eva"}
    for secret in secrets:
        if len(secret) > 2:
            assert secret.encode() not in sent, secret
    for path in cohort.image_paths():
        assert path.read_bytes()[50:90] not in sent
    # A repeat cannot be recognised by its id, and two experts' ids have nothing in common.
    ids = [one.id for one in study.queue("anna")]
    assert len(set(ids)) == len(ids)
    assert not set(ids) & {one.id for one in study.queue("ben")}


def test_the_lead_sees_counts_first_and_votes_once_it_is_closed(
    client: TestClient, links: dict[str, str], study: Study
) -> None:
    lead = links["lead"]
    vote_all(study, "ben", "normal")
    progress = client.get(f"{lead}progress").json()
    assert [(one["expert"], one["voted"], one["of"]) for one in progress["parts"]] == [
        ("anna", 0, 70),
        ("ben", 70, 70),
        ("eva", 0, None),
    ]
    assert "normal" not in client.get(f"{lead}progress").text
    assert client.get(f"{lead}agreement").status_code == 403
    refused = client.post(f"{lead}close", json={})
    assert refused.status_code == 400
    assert "anna and eva have not ended their parts" in refused.json()["detail"]
    vote_all(study, "anna", "atypical")
    waiting = client.get(f"{links['eva']}next").json()
    assert waiting["waiting"] == ""
    assert client.post(f"{lead}close", json={"now": True}).status_code == 200
    report = client.get(f"{lead}agreement")
    assert report.status_code == 200
    assert "60 of 60 figures got different answers" in report.text
    assert "script" not in report.headers["content-security-policy"]
    assert client.get(f"{links['eva']}next").json()["closed"] is True


def test_a_figure_whose_image_goes_is_shown_to_nobody_and_listed_for_the_lead(
    client: TestClient, links: dict[str, str], study: Study
) -> None:
    lost = {study.queue("anna")[place].figure for place in (0, 2)}
    for figure in lost:
        image = study.table.frame["image"].iloc[study.rows[figure]]
        study.table.image_path(image).unlink()
    state = client.get(f"{links['anna']}next", params={"count": 200}).json()
    shown = {study.showing("anna", one["id"]).figure for one in state["next"]}
    assert not shown & lost
    assert len(shown) == 58
    assert state["missing"] >= 2
    assert not any(figure in client.get(f"{links['anna']}next").text for figure in lost)
    few = client.get(f"{links['anna']}next", params={"count": 1}).json()
    assert [one["id"] for one in few["next"]] == [study.queue("anna")[1].id]
    faults = client.get(f"{links['lead']}progress").json()["faults"]
    assert {fault.partition(":")[0] for fault in faults} == lost
    assert all("no such file" in fault for fault in faults)


def test_text_of_others_is_shown_as_text(cohort: FigureTable, tmp_path: Path) -> None:
    nasty = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    (tmp_path / "definition.md").write_text(f"# {nasty}\n\n[link](javascript:alert(3)) {nasty}\n")
    frame = cohort.frame.assign(tumour=nasty)
    study = create_study(
        FigureTable(frame, cohort.root),
        tmp_path / "study",
        ["anna"],
        rule="all",
        definition=tmp_path / "definition.md",
        shows_domain=True,
    ).study
    for page in (make_expert_page(study, "anna"), make_offline_page(study, "anna")):
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert 'href="javascript' not in page


def test_votes_of_the_server_are_in_the_export(
    client: TestClient, links: dict[str, str], study: Study, tmp_path: Path
) -> None:
    from atypia.study.export import export

    for name in EXPERTS:
        while batch := client.get(f"{links[name]}next", params={"count": 100}).json()["next"]:
            change = study.place(name).change
            votes = [
                vote_of(one["id"], f"r-{one['id']}", "normal" if name == "ben" else "atypical")
                for one in batch
            ]
            client.post(f"{links[name]}votes", json={"after": change, "votes": votes})
        assert client.post(f"{links[name]}lock").status_code == 200
    with pytest.raises(AtypiaError, match="votes are exported once the study is closed"):
        export(study, tmp_path / "out" / "figures.csv")
    study.close()
    done = export(study, tmp_path / "out" / "figures.csv")
    assert (done.figures, done.none, done.unsure) == (60, (), 0)
    rows = list(csv.DictReader((tmp_path / "out" / "votes.csv").open()))
    assert len(rows) == sum(len(study.queue(name)) for name in EXPERTS)
    assert len({(row["expert"], row["showing"]) for row in rows}) == len(rows)


def test_a_vote_is_on_the_disk_before_the_server_says_so(
    serve: Callable[..., Server], cohort: FigureTable, tmp_path: Path
) -> None:
    require_program("strace")
    create_study(cohort, tmp_path / "study", ["anna"], rule="all")
    trace, calls = tmp_path / "trace", "trace=fsync,fdatasync,sendto,sendmsg,write,writev"
    server = serve(tmp_path / "study", ["strace", "-f", "-o", str(trace), "-e", calls])
    link = server.links["anna"]
    for number in range(5):
        with urllib.request.urlopen(f"{link}next?count=1") as answer:
            state = json.load(answer)
        vote = vote_of(state["next"][0]["id"], f"request-{number}")
        body = json.dumps({"after": state["change"], "votes": [vote]}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{link}votes", body, headers)
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer) == {"change": number + 1}
    server.kill()
    answers = trace.read_text(errors="replace").split('"HTTP/1.1 200 OK')
    assert len(answers) == 11
    # Every second answer acknowledges a vote: between it and the one before, it was synced.
    for before in answers[1::2]:
        assert re.search(r"sync\(\d+\)\s+= 0|sync resumed", before)
    for before in answers[2::2]:  # nothing is written for a question
        assert "sync" not in before
