"""The routes: the answers of `predict`, in order; and what is refused, in words."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import schemathesis
from hypothesis import given, settings
from PIL import Image
from starlette.testclient import TestClient

from atypia.apps.serve import batches
from atypia.apps.serve.app import MOST_BYTES, make_app
from atypia.apps.serve.crops import MOST_CROPS
from atypia.apps.serve.server import serve as serve_bundle
from atypia.apps.serve.slides import MOST_SLIDES, Slides
from atypia.data.phantom import make_phantom
from atypia.data.readers.open_figures import open_figures
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError
from atypia.inference.predictor import Predictor
from atypia.workflows.predict import predict
from atypia.workflows.slide import predict_slide
from slide_files import pixels, write_plain

from .conftest import ADDRESS, HOSTS

Files = list[tuple[str, tuple[str, bytes, str]]]


def files_of(paths: Sequence[Path]) -> Files:
    return [("files", (path.name, path.read_bytes(), "image/png")) for path in paths]


def png(side: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 200, np.uint8)).save(out, "PNG")
    return out.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of a few hundred bytes that states side x side px."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 10_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def same(entries: list[dict[str, Any]], frame: pd.DataFrame) -> None:
    """The values of a predictions table, but for the names of the images."""
    assert len(entries) == len(frame)
    for entry, row in zip(entries, frame.to_dict("records"), strict=True):
        assert entry["p_atypical"] == pytest.approx(row["p_atypical"], abs=1e-5)
        assert entry["spread"] == pytest.approx(row["spread"], abs=1e-5)
        for name in ("call", "refer", "phase", "in_scope", "scope_reason"):
            assert entry[name] == row[name]
        assert entry["error"] is None


def test_the_answers_are_those_of_predict(
    client: TestClient, small_bundle: Path, tmp_path: Path
) -> None:
    table = make_phantom(tmp_path / "cohort", figures=100, domains=2, size_px=64)
    out = tmp_path / "out.json"
    predict(table, out, bundle=small_bundle, runtime="torch", precision="fp32")
    wanted = pd.DataFrame(json.loads(out.read_text(encoding="utf-8")))
    paths = [table.image_path(image) for image in table.frame["image"]]
    for first in range(0, 100, 40):
        some = slice(first, first + 40)
        answer = client.post(
            "/v1/classify",
            files=files_of(paths[some]),
            data={"mpp": [str(mpp) for mpp in table.frame["mpp"][some]]},
        )
        assert answer.status_code == 200
        assert [entry["figure_id"] for entry in answer.json()] == [p.name for p in paths[some]]
        same(answer.json(), wanted[some])


def test_500_real_crops_are_answered_as_by_predict(
    client: TestClient, small_export: Path, ami_br: Path, tmp_path: Path
) -> None:
    table = open_figures(ami_br)
    figures = table.frame.iloc[:: len(table) // 500][:500]
    some = FigureTable(figures.reset_index(drop=True), table.root, ())
    out = tmp_path / "out.json"
    predict(some, out, bundle=small_export.parents[1], runtime="onnx")
    wanted = pd.DataFrame(json.loads(out.read_text(encoding="utf-8")))
    paths = [some.image_path(image) for image in some.frame["image"]]
    for first in range(0, 500, 250):
        rows = slice(first, first + 250)
        mpps = [str(mpp) for mpp in some.frame["mpp"][rows]]
        answer = client.post("/v1/classify", files=files_of(paths[rows]), data={"mpp": mpps})
        assert answer.status_code == 200
        same(answer.json(), wanted[rows])


def test_a_crop_that_cannot_be_used_is_named_and_the_others_are_classified(
    client: TestClient, paths: list[Path]
) -> None:
    files = files_of(paths[:2])
    files.insert(1, ("files", ("broken.png", b"no image", "image/png")))
    entries = client.post("/v1/classify", files=files, data={"mpp": "0.25"}).json()
    assert [entry["error"] is None for entry in entries] == [True, False, True]
    assert entries[1]["error"].startswith("broken.png: not an image")
    assert {entries[1][name] for name in ("p_atypical", "call", "refer", "in_scope")} == {None}
    alone = client.post("/v1/classify", files=[files[1]] * 2, data={"mpp": "0.25"})
    assert alone.status_code == 422
    assert alone.json()["detail"].startswith("broken.png: not an image")


def test_glass_is_out_of_scope(client: TestClient) -> None:
    glass = ("files", ("glass.png", png(64), "image/png"))
    (entry,) = client.post("/v1/classify", files=[glass], data={"mpp": "0.25"}).json()
    assert (entry["in_scope"], entry["scope_reason"]) == (False, "no tissue")
    assert entry["refer"] is True


@pytest.mark.parametrize(
    ("files", "data", "status", "said"),
    [
        ([("a.png", 40)], {}, 422, "mpp: 0 values for 1 files"),
        ([("a.png", 40)], {"mpp": "fine"}, 422, "mpp: fine is no number"),
        ([("a.png", 40)], {"mpp": "nan"}, 422, "mpp nan: expected"),
        ([("a.png", 40)], {"mpp": "9"}, 422, "mpp 9: expected"),
        ([("a.png", 40)], {"mpp": ["0.25", "0.25"]}, 422, "mpp: 2 values for 1 files"),
        ([("a.png", 40)], {"mpp": "0.25", "um": "1"}, 422, "um: there is no such field"),
        ([], {"mpp": "0.25", "files": "a.png"}, 422, "files: expected image files"),
        ([("a.png", 40)] * (MOST_CROPS + 1), {"mpp": "0.25"}, 413, f"files: over {MOST_CROPS}"),
        ([("a.png", 40)] * 10_000, {"mpp": "0.25"}, 400, "Too many files"),
    ],
)
def test_what_a_request_lacks_is_said(
    client: TestClient, files: Sequence[tuple[str, int]], data: Any, status: int, said: str
) -> None:
    sent = [("files", (name, b"x" * size, "image/png")) for name, size in files]
    answer = client.post("/v1/classify", files=sent or {"x": b""}, data=data)
    assert answer.status_code == status or not sent
    assert said in answer.json()["detail"] or not sent


def test_a_picture_of_30000_px_is_too_large(client: TestClient, paths: list[Path]) -> None:
    for side in (5_000, 30_000):
        files = [*files_of(paths[:1]), ("files", ("bomb.png", bomb(side), "image/png"))]
        answer = client.post("/v1/classify", files=files, data={"mpp": "0.25"})
        assert answer.status_code == 413
        assert answer.json()["detail"].startswith("bomb.png: ")


def test_a_request_that_is_too_large_is_refused_as_it_comes(client: TestClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}

    def pieces() -> Any:
        yield b'--x\r\ncontent-disposition: form-data; name="files"; filename="a"\r\n\r\n'
        for _ in range(MOST_BYTES // 2**20 + 1):
            yield b"\0" * 2**20

    for body in (b"\0" * (MOST_BYTES + 1), pieces()):
        answer = client.post("/v1/classify", content=body, headers=headers)
        assert answer.status_code == 413
        assert "the request is larger than 33,554,432 bytes" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1:9"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"content-type": "multipart/form-data"}, 400),
        ({"content-type": "application/json"}, 422),
    ],
)
def test_other_pages_hosts_and_types_are_refused(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = client.post("/v1/classify", content=b"{}", headers=headers)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert client.request("PUT", "/v1/classify").status_code == 405
    assert client.get("/nothing").status_code == 404


def test_who_brings_more_than_may_wait_is_told_to_come_again(
    client: TestClient, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST_WAITING", 3)
    refused = client.post("/v1/classify", files=files_of(paths[:4]), data={"mpp": "0.25"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert client.get("/health").json() == {"status": "ok", "waiting": 0}
    answer = client.post("/v1/classify", files=files_of(paths[:3]), data={"mpp": "0.25"})
    assert answer.status_code == 200


def test_a_network_that_fails_once_computes_the_next_batch(
    client: TestClient, predictor: Predictor, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(batch: object) -> None:
        raise MemoryError("no memory left")

    with monkeypatch.context() as patch:
        patch.setattr(predictor, "score", fail)
        answer = client.post("/v1/classify", files=files_of(paths[:2]), data={"mpp": "0.25"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json() == {"detail": "these crops could not be computed; try again"}
    answer = client.post("/v1/classify", files=files_of(paths[:2]), data={"mpp": "0.25"})
    assert answer.status_code == 200


def test_a_token_is_asked_for_everywhere_but_for_health(
    predictor: Predictor, paths: list[Path]
) -> None:
    token = "a-token-of-some-length"
    with TestClient(make_app(predictor, HOSTS, token=token), base_url=ADDRESS) as client:
        crop = {"files": files_of(paths[:1]), "data": {"mpp": "0.25"}}
        for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "Basic x"}):
            for method, path in (
                ("GET", "/v1/bundle"),
                ("GET", "/version"),
                ("GET", "/metrics"),
                ("POST", "/v1/classify"),
                ("POST", "/v1/slides/classify"),
            ):
                answer = client.request(method, path, headers=headers)
                assert (answer.status_code, path) == (401, path)
        assert client.get("/health").status_code == 200
        right = {"authorization": f"Bearer {token}"}
        assert client.post("/v1/classify", headers=right, **crop).status_code == 200


def test_the_facts_of_the_bundle_and_the_counters(
    client: TestClient, predictor: Predictor, paths: list[Path]
) -> None:
    facts = client.get("/v1/bundle").json()
    assert facts["name"] == "small"
    assert facts["sha256"] == predictor.bundle.sha256
    assert (facts["operating_point"], facts["refer"]) == (0.5, [0.4, 0.6])
    assert facts["limits"]["files"] == MOST_CROPS
    assert "No medical device." in facts["card"]
    assert client.get("/version").json()["runtime"].startswith("onnxruntime")
    client.post("/v1/classify", files=files_of(paths[:5]), data={"mpp": "0.25"})
    client.post("/v1/classify", data={"mpp": "0.25"})
    text = client.get("/metrics").text
    counted = {
        line.split("} ")[1] for line in text.splitlines() if line.startswith("atypia_crops_total")
    }
    assert sum(map(float, counted)) <= 5
    assert 'atypia_requests_total{route="/v1/classify",status="200"} 1.0' in text
    assert 'atypia_requests_total{route="/v1/classify",status="422"} 1.0' in text
    assert "atypia_waiting_crops 0.0" in text
    assert re.search(r"atypia_batch_crops_sum 5\.0", text)


def test_the_page_of_the_routes_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded
    for address in loaded:
        assert address.startswith("/")
        assert client.get(address).status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    operation = client.get("/openapi.json").json()["paths"]["/v1/classify"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["files", "mpp"]
    assert {"200", "413", "422", "429", "503"} <= set(operation["responses"])


def test_no_request_that_the_page_allows_or_forbids_breaks_the_server(
    predictor: Predictor, tmp_path: Path
) -> None:
    app = make_app(predictor, HOSTS, slides=Slides(predictor, tmp_path))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"host": HOSTS[0]})
    with TestClient(app, base_url=ADDRESS):
        for operation in schema.get_all_operations():

            @settings(max_examples=15, deadline=None, derandomize=True, database=None)
            @given(case=operation.ok().as_strategy())
            def ask(case: schemathesis.Case) -> None:
                answer = case.call(base_url=ADDRESS, headers={"host": HOSTS[0]})
                assert answer.status_code < 500, answer.text

            ask()


LEADING_OUT = [
    "../secret.tif",
    "..",
    ".",
    "",
    "/",
    "//",
    "a/../../secret.tif",
    "a/..",
    "./../secret.tif",
    "link.tif",
    "link/secret.tif",
    "%2e%2e/secret.tif",
    "%2e%2e%2fsecret.tif",
    "..%2fsecret.tif",
    "..%c0%afsecret.tif",
    "\u2025/secret.tif",
    "..\u2215secret.tif",
    "..\\secret.tif",
    "a\\..\\..\\secret.tif",
    "\\\\server\\share\\secret.tif",
    "//server/share/secret.tif",
    "C:\\secret.tif",
    "C:/secret.tif",
    "C:secret.tif",
    "file:///etc/passwd",
    "/etc/passwd",
    "/proc/self/environ",
    "/dev/stdin",
    "slide.tif\0.png",
    "\0",
    "~/secret.tif",
    "$HOME/secret.tif",
    "slide.tif/../../secret.tif",
    "a" * 300,
    "a/" * 3000,
    "fifo",
    "nothing.tif",
]


@pytest.fixture
def slides_root(tmp_path: Path) -> Path:
    root = tmp_path / "slides"
    (root / "a").mkdir(parents=True)
    write_plain(root / "a" / "slide.tif", pixels())
    write_plain(tmp_path / "secret.tif", pixels(1))
    (root / "link.tif").symlink_to(tmp_path / "secret.tif")
    (root / "link").symlink_to(tmp_path)
    os.mkfifo(root / "fifo")
    return root


def points_of(count: int = 3) -> bytes:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [200 + 30 * number, 300]},
            "properties": {"objectType": "annotation", "name": f"point {number}"},
        }
        for number in range(count)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


@pytest.mark.parametrize("name", LEADING_OUT)
def test_no_path_leads_out_of_the_root(predictor: Predictor, slides_root: Path, name: str) -> None:
    app = make_app(predictor, HOSTS, slides=Slides(predictor, slides_root))
    with TestClient(app, base_url=ADDRESS) as client:
        answer = client.post(
            "/v1/slides/classify",
            data={"slide": name},
            files={"points": ("points.geojson", points_of())},
        )
    assert 400 <= answer.status_code < 500
    assert answer.json()["detail"]
    assert str(slides_root.parent) not in answer.text


def test_points_on_a_slide_are_given_back_as_the_verb_does(
    predictor: Predictor, slides_root: Path, tmp_path: Path, small_export: Path
) -> None:
    given, out = tmp_path / "points.geojson", tmp_path / "classified.geojson"
    given.write_bytes(points_of())
    bundle = small_export.parents[1]
    predict_slide(slides_root / "a" / "slide.tif", given, out, bundle=bundle, runtime="onnx")
    wanted = json.loads(out.read_text(encoding="utf-8"))
    app = make_app(predictor, HOSTS, slides=Slides(predictor, slides_root))
    with TestClient(app, base_url=ADDRESS) as client:
        answer = client.post(
            "/v1/slides/classify",
            data={"slide": "a/slide.tif"},
            files={"points": ("p.geojson", points_of())},
        )
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/geo+json"
        found = answer.json()
        assert found["features"] == wanted["features"]
        assert found["atypia"]["counts"]["figures"] == 3
        assert str(tmp_path) not in answer.text
        for content, said in (
            (b"{}", "points.geojson: "),
            (b"", "points.geojson: "),
            (b"no json", "points.geojson: "),
        ):
            refused = client.post(
                "/v1/slides/classify",
                data={"slide": "a/slide.tif"},
                files={"points": ("p.geojson", content)},
            )
            assert (refused.status_code, content) == (422, content)
            assert refused.json()["detail"].startswith(said)
        for data in ({}, {"slide": "a/slide.tif", "mpp": "x"}, {"slide": "a/slide.tif", "um": "1"}):
            refused = client.post(
                "/v1/slides/classify", data=data, files={"points": ("p", points_of())}
            )
            assert refused.status_code == 422


def test_slides_wait_for_one_another_and_not_too_many(
    predictor: Predictor, slides_root: Path
) -> None:
    slides = Slides(predictor, slides_root)
    slides.waiting = MOST_SLIDES
    with TestClient(make_app(predictor, HOSTS, slides=slides), base_url=ADDRESS) as client:
        send = {"data": {"slide": "a/slide.tif"}, "files": {"points": ("p", points_of())}}
        assert client.post("/v1/slides/classify", **send).status_code == 429
        slides.waiting = 0
        assert client.post("/v1/slides/classify", **send).status_code == 200
        assert slides.waiting == 0


def test_without_a_root_there_are_no_slides(client: TestClient) -> None:
    answer = client.post(
        "/v1/slides/classify", data={"slide": "a.tif"}, files={"points": ("p", points_of())}
    )
    assert answer.status_code == 404
    assert "--root" in answer.json()["detail"]


def test_what_a_server_is_started_with(predictor: Predictor, tmp_path: Path) -> None:
    for options, said in (
        ({"host": "10.1.2.3"}, "other machines reach this address; give a --token"),
        ({"token": "short"}, "--token: expected 16 or more"),
        ({"root": tmp_path / "none"}, "no such folder"),
        ({"host": "0.0.0.0", "token": "x" * 16}, "stands for every address"),
    ):
        with pytest.raises(AtypiaError, match=re.escape(said)):
            serve_bundle(predictor, **{"host": "127.0.0.1", "port": 0, **options})
