"""The server as a process: other programs, slow ones, ones that leave, and its own end."""

from __future__ import annotations

import asyncio
import csv
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.testclient import TestClient

from atypia.apps.serve.app import make_app
from atypia.workflows.predict import predict
from programs import require_program
from slide_files import pixels, write_plain

from .conftest import HOSTS, Process
from .test_app import points_of

Serve = Callable[..., Process]


def send(address: str, paths: list[Path]) -> requests.Response:
    files = [("files", (path.name, path.read_bytes())) for path in paths]
    return requests.post(f"{address}/v1/classify", files=files, data={"mpp": "0.25"}, timeout=60)


def test_curl_and_requests_get_what_the_command_writes(
    serve: Serve, paths: list[Path], crop_folder: Path, small_export: Path, tmp_path: Path
) -> None:
    curl = require_program("curl")
    server = serve()
    assert server.first.startswith("small (")
    words = [word for path in paths for word in ("-F", f"files=@{path}")]
    answer = subprocess.run(
        [curl, "-sS", *words, "-F", "mpp=0.25", f"{server.address}/v1/classify"],
        capture_output=True,
        check=True,
    )
    by_curl = json.loads(answer.stdout)
    by_requests = send(server.address, paths).json()
    for one, other in zip(by_requests, by_curl, strict=True):
        assert one["figure_id"] == other["figure_id"]
        assert one["p_atypical"] == pytest.approx(other["p_atypical"], abs=1e-5)
    out = tmp_path / "out.csv"
    predict(crop_folder, out, mpp=0.25, bundle=small_export.parents[1], runtime="onnx")
    with out.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [entry["figure_id"] for entry in by_curl] == [row["figure_id"] for row in rows]
    for entry, row in zip(by_curl, rows, strict=True):
        assert entry["p_atypical"] == pytest.approx(float(row["p_atypical"]), abs=1e-5)
        assert entry["call"] == row["call"]
        assert str(entry["refer"]).lower() == row["refer"]
        assert str(entry["in_scope"]).lower() == row["in_scope"]


def test_it_ends_when_told_to_and_answers_what_it_has_accepted(
    serve: Serve, paths: list[Path]
) -> None:
    server = serve()
    expected = send(server.address, paths).json()
    answers: list[Any] = []
    refused: list[Exception] = []
    stopping = threading.Event()

    def ask() -> None:
        while not stopping.is_set():
            try:
                answers.append(send(server.address, paths))
            except requests.ConnectionError as fault:  # it listens no more
                refused.append(fault)
                return

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    code, said = server.stop()
    stopping.set()
    for thread in threads:
        thread.join()
    assert code == 143
    assert said.splitlines()[-1] == "stopped; every request that was accepted has its answer"
    assert "Traceback" not in said
    assert len(answers) > 8
    for answer in answers:
        assert answer.status_code in (200, 429)
        if answer.status_code == 200:
            found = answer.json()
            assert [one["figure_id"] for one in found] == [one["figure_id"] for one in expected]
            for one, other in zip(found, expected, strict=True):
                assert one["p_atypical"] == pytest.approx(other["p_atypical"], abs=1e-5)


def test_clients_that_leave_midway_cost_nobody_an_answer(serve: Serve, paths: list[Path]) -> None:
    server = serve()
    body = paths[0].read_bytes()
    head = (
        f"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    ).encode() + body[:100]
    left = []
    for number in range(20):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(head)
        if number % 2:
            client.close()  # half a body, and gone
        else:
            left.append(client)  # half a body, and silent
    assert send(server.address, paths).status_code == 200
    whole = requests.Request(
        "POST",
        f"{server.address}/v1/classify",
        files=[("files", (path.name, path.read_bytes())) for path in paths],
        data={"mpp": "0.25"},
    ).prepare()
    for _ in range(5):  # sent whole, and gone before the answer
        client = socket.create_connection(("127.0.0.1", server.port))
        lines = [f"{name}: {value}" for name, value in whole.headers.items()]
        lines = [f"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1:{server.port}", *lines]
        client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + bytes(whole.body or b""))
        client.close()
    assert send(server.address, paths).status_code == 200
    for client in left:
        client.close()
    until = time.monotonic() + 20
    while requests.get(f"{server.address}/health", timeout=10).json()["waiting"]:
        assert time.monotonic() < until
        time.sleep(0.1)
    code, said = server.stop()
    assert (code, "Traceback" in said) == (143, False)


def test_a_slow_client_is_let_go(predictor: Any, paths: list[Path]) -> None:
    """In this process, so that nobody waits for the usual time of silence."""
    app = make_app(predictor, HOSTS, silence_s=0.2)

    async def silent(receive_after: float = 30) -> None:
        messages: list[Any] = []
        sent = iter([{"type": "http.request", "body": b"--x", "more_body": True}])

        async def receive() -> Any:
            for message in sent:
                return message
            await asyncio.sleep(receive_after)
            raise AssertionError("waited for ever")

        async def keep(message: Any) -> None:
            messages.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/classify",
            "raw_path": b"/v1/classify",
            "query_string": b"",
            "http_version": "1.1",
            "scheme": "http",
            "server": ("127.0.0.1", 8807),
            "client": ("127.0.0.1", 1),
            "headers": [
                (b"host", HOSTS[0].encode()),
                (b"content-type", b"multipart/form-data; boundary=x"),
            ],
        }
        await app(scope, receive, keep)
        assert messages[0]["status"] == 408
        assert b"send it again" in messages[1]["body"]

    with TestClient(app) as client:
        assert client.portal is not None
        client.portal.call(silent)


def test_slides_by_curl(serve: Serve, tmp_path: Path) -> None:
    curl = require_program("curl")
    root = tmp_path / "slides"
    root.mkdir()
    write_plain(root / "slide.tif", pixels())
    points = tmp_path / "points.geojson"
    points.write_bytes(points_of())
    server = serve("--root", root)
    address = f"{server.address}/v1/slides/classify"
    form = ["-F", "slide=slide.tif", "-F", f"points=@{points}"]
    done = subprocess.run([curl, "-sS", *form, address], capture_output=True, check=True)
    assert len(json.loads(done.stdout)["features"]) == 3


def test_https(serve: Serve, paths: list[Path], tmp_path: Path) -> None:
    openssl = require_program("openssl")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *(*subject, "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    server = serve("--tls-cert", cert, "--tls-key", key)
    assert server.address.startswith("https://127.0.0.1:")
    answer = requests.get(f"{server.address}/health", verify=str(cert), timeout=30)
    assert answer.json()["status"] == "ok"


def test_it_calls_nobody(serve: Serve, paths: list[Path], tmp_path: Path) -> None:
    strace = require_program("strace")
    record = tmp_path / "calls.txt"
    server = serve(before=[strace, "-f", "-e", "trace=connect", "-o", str(record)])
    assert send(server.address, paths).status_code == 200
    for path in ("docs", "metrics", "v1/bundle"):
        assert requests.get(f"{server.address}/{path}", timeout=30).status_code == 200
    server.kill()
    text = record.read_text(encoding="utf-8", errors="replace")
    called = [line for line in text.splitlines() if "AF_INET" in line]
    assert [line for line in called if '"127.0.0.1"' not in line and '"::1"' not in line] == []
