"""The QuPath script: crops are those of atypia's slide reader; no answer, no change."""

from __future__ import annotations

import email.policy
import io
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from atypia.data.points.qupath_results import (
    ATYPICAL,
    GIVEN,
    GIVEN_BY,
    IN_SCOPE,
    NORMAL,
    P_ATYPICAL,
    PHASE,
    REFER,
    SCOPE,
    SPREAD,
)
from atypia.data.slides.open_slide import open_slide
from atypia.inference.slides import COLOURS
from qupath_script import QuPath, ScriptResult

Json = dict[str, Any]
WIDE, HIGH = 500, 400


@pytest.fixture(scope="module")
def qupath() -> Iterator[QuPath]:
    with QuPath() as qupath:
        yield qupath


@dataclass(frozen=True)
class Request:
    path: str
    token: str | None
    mpp: list[float]
    names: list[str]
    crops: list[npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Reply:
    status: int
    body: str
    retry_after: str | None = None


class Server:
    """Answers one crop after another as given; `first` are whole replies that come before."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.first: list[Reply] = []
        self.entries: list[Json] = []
        self.forever: Reply | None = None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = _read_request(self.path, dict(self.headers), body)
                server.requests.append(request)
                reply = server._answer(request)
                self.send_response(reply.status)
                if reply.retry_after is not None:
                    self.send_header("Retry-After", reply.retry_after)
                self.end_headers()
                self.wfile.write(reply.body.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def _answer(self, request: Request) -> Reply:
        if self.first:
            return self.first.pop(0)
        if self.forever is not None:
            return self.forever
        entries = [self.entries.pop(0) if self.entries else entry() for _ in request.crops]
        return Reply(200, json.dumps(entries))

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _read_request(path: str, headers: dict[str, str], body: bytes) -> Request:
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    form = BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    parts: dict[str, list[Any]] = {"mpp": [], "files": []}
    for part in form.iter_parts():
        parts[part.get_param("name", header="content-disposition")].append(part)
    return Request(
        path,
        headers.get("Authorization"),
        [float(part.get_content()) for part in parts["mpp"]],
        [part.get_filename() for part in parts["files"]],
        [np.asarray(Image.open(io.BytesIO(part.get_content()))) for part in parts["files"]],
    )


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def entry(call: str | None = "normal", p: float | None = 0.1, **others: Any) -> Json:
    """An answer of `atypia serve` for one crop."""
    return {
        "figure_id": "",
        "image": "",
        "p_atypical": p,
        "call": call,
        "refer": None if call is None else False,
        "spread": None,
        "phase": "",
        "in_scope": None,
        "scope_reason": "",
        "error": None,
        **others,
    }


def figure(x: float = 250, y: float = 200, **others: Any) -> Json:
    """An object of class Mitosis, a single point."""
    roi = {"x": x, "y": y, "points": 1, **others.pop("roi", {})}
    return {
        "id": str(uuid.uuid4()),
        "kind": "annotation",
        "pathClass": "Mitosis",
        "roi": roi,
        **others,
    }


@pytest.fixture(scope="module")
def pixels() -> npt.NDArray[np.uint8]:
    """A slide on which every pixel tells where it lies."""
    y, x = np.mgrid[:HIGH, :WIDE]
    return np.stack([x % 256, y % 256, 16 * (x // 256) + y // 256], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def image(pixels: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "slide.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def run(qupath: QuPath, server: Server, image: Path) -> Callable[..., ScriptResult]:
    """Run the script against the stand-in server, on the slide at 0.25 um/px."""

    def run(objects: list[Json], **options: Any) -> ScriptResult:
        chosen = {"image": image, "pixel_um": 0.25, "server": server.address, **options}
        return qupath.run(objects, **chosen)

    return run


Run = Callable[..., ScriptResult]


def untouched(result: ScriptResult, objects: list[Json]) -> bool:
    """Return whether objects are as they were."""
    return result.updates == 0 and all(
        result.objects[each["id"]]["class"] == each["pathClass"]
        and result.objects[each["id"]]["measurements"] == each.get("measurements", {})
        and result.objects[each["id"]]["metadata"] == each.get("metadata", {})
        for each in objects
    )


def test_all_of_a_class_get_class_colour_and_measurements(run: Run, server: Server) -> None:
    normal, atypical, refer = figure(), figure(kind="detection"), figure()
    other = figure(pathClass="Tumor")
    server.entries = [
        entry("normal", 0.03, spread=0.01),
        entry("normal", 0.5, refer=True, in_scope=False, scope_reason="no tissue"),
        entry("atypical", 0.93, phase="metaphase"),
    ]
    result = run([normal, other, atypical, refer])

    of_normal, of_other, of_atypical, of_refer = (
        result.objects[each["id"]] for each in (normal, other, atypical, refer)
    )
    assert of_normal["class"] == NORMAL
    assert of_normal["measurements"] == {P_ATYPICAL: 0.03, SPREAD: 0.01}
    assert of_refer["class"] == REFER
    assert of_refer["measurements"] == {P_ATYPICAL: 0.5, IN_SCOPE: 0.0}
    assert of_refer["metadata"] == {SCOPE: "no tissue", GIVEN: REFER}
    assert of_atypical["class"] == ATYPICAL
    assert of_atypical["metadata"] == {PHASE: "metaphase", GIVEN: ATYPICAL}
    for each in (of_normal, of_refer, of_atypical):
        assert tuple(each["colour"]) == COLOURS[each["class"]]
    assert of_other["class"] == "Tumor"
    assert of_other["measurements"] == {}
    assert result.asked == [
        "Classify 3 objects? 1 atypical, 1 normal, 1 refer. "
        "Their classes are changed; measurements are added."
    ]
    assert result.lines == ["3 of 3 objects classified: 1 atypical, 1 normal, 1 refer."]
    assert result.updates == 1


def test_requests_are_those_that_the_server_expects(run: Run, server: Server) -> None:
    objects = [figure() for _ in range(5)]
    result = run(objects, cropsPerRequest=2, token=" secret ", server=f"{server.address}/")
    assert [len(request.crops) for request in server.requests] == [2, 2, 1]
    names = [name for request in server.requests for name in request.names]
    assert names == [f"{each['id']}.png" for each in objects]
    for request in server.requests:
        assert request.path == "/v1/classify"
        assert request.token == "Bearer secret"
        assert request.mpp == [0.25]
    assert result.lines[:-1] == [f"{done} of 5 answered" for done in (2, 4, 5)]


def test_without_a_token_none_is_sent(run: Run, server: Server) -> None:
    run([figure()])
    assert [request.token for request in server.requests] == [None]


PLACES = [
    (250.0, 200.0),  # in the middle
    (250.5, 199.75),  # between pixels: one more centres it better
    (12.0, 390.0),  # near two edges
    (0.0, 0.0),
    (float(WIDE), float(HIGH)),
]


def test_crops_are_those_of_the_slide_reader(
    run: Run, server: Server, pixels: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(128, 128))
    run([figure(x, y) for x, y in PLACES])
    slide = open_slide(path, mpp=0.25)
    (request,) = server.requests
    for (x, y), crop in zip(PLACES, request.crops, strict=True):
        np.testing.assert_array_equal(crop, slide.window(x, y, side_um=40, level=0))
    slide.close()


@pytest.mark.parametrize(("pixel_um", "times"), [(0.125, 2.0), (0.1, 2.5), (0.242, 0.25 / 0.242)])
def test_a_finer_slide_is_read_at_a_quarter_um(
    run: Run, server: Server, pixel_um: float, times: float
) -> None:
    run([figure(200, 220)], pixel_um=pixel_um)
    (request,) = server.requests
    assert request.mpp == [pytest.approx(0.25)]
    (crop,) = request.crops
    assert set(crop.shape[:2]) <= {160, 161}
    # Red and green count x and y where the slide is left of 256: so they say where the centre lies.
    centre = crop[crop.shape[0] // 2 - 1 :, crop.shape[1] // 2 - 1 :][:2, :2]
    assert centre[..., 0].mean() + 0.5 == pytest.approx(200, abs=times)
    assert centre[..., 1].mean() + 0.5 == pytest.approx(220, abs=times)


def test_a_coarser_slide_is_read_as_it_is(
    run: Run, server: Server, pixels: npt.NDArray[np.uint8]
) -> None:
    run([figure(250, 200)], pixel_um=0.5)
    (request,) = server.requests
    assert request.mpp == [0.5]
    np.testing.assert_array_equal(request.crops[0], pixels[160:240, 210:290])


def test_transparent_pixels_are_white(qupath: QuPath, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "hole.png"
    Image.new("RGBA", (400, 400), (0, 0, 0, 0)).save(path)
    qupath.run([figure(200, 200)], path, 0.25, server=server.address)
    assert (server.requests[0].crops[0] == 255).all()


def test_selected_objects_go_before_the_class(run: Run, server: Server) -> None:
    chosen, other = figure(selected=True, pathClass="Tumor"), figure()
    region = figure(selected=True, roi={"points": None, "width": 404, "height": 12})
    result = run([chosen, other, region])
    assert result.objects[chosen["id"]]["class"] == NORMAL
    assert untouched_class(result, other) == untouched_class(result, region) == "Mitosis"
    assert len(server.requests[0].crops) == 1
    assert result.lines[-1].endswith("its outline is over 100 um, and no figure's")


def untouched_class(result: ScriptResult, of: Json) -> str | None:
    return result.objects[of["id"]]["class"]


def test_a_full_server_is_asked_again_after_as_long_as_it_says(run: Run, server: Server) -> None:
    busy = '{"detail": "queue is full"}'
    server.first = [Reply(429, busy, "1"), Reply(503, busy, "0"), Reply(429, busy)]
    started = time.monotonic()
    result = run([figure()])
    assert time.monotonic() - started >= 2  # the last one says nothing: a second
    assert len(server.requests) == 4
    assert result.lines == ["1 of 1 object classified: 0 atypical, 1 normal, 0 refer."]


def test_a_server_that_stays_full_is_given_up(run: Run, server: Server) -> None:
    server.forever = Reply(429, '{"detail": "queue is full"}', "0")
    objects = [figure()]
    result = run(objects)
    assert len(server.requests) == 11
    assert result.lines == [
        "The server refused after 11 tries (429): queue is full. Nothing was changed."
    ]
    assert untouched(result, objects)


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (
            Reply(401, '{"detail": "token is missing"}'),
            "The server refused (401): token is missing",
        ),
        (Reply(403, '{"detail": "host"}'), "The server refused (403): host"),
        (Reply(413, '{"detail": "16 files, at most 8."}'), "(413): 16 files, at most 8."),
        (Reply(422, '{"detail": [{"loc": ["mpp"]}]}'), '(422): [{"loc":["mpp"]}]'),
        (Reply(500, "Internal\n Server Error"), "(500): Internal Server Error"),
        (Reply(307, ""), "(307): no reason given"),
        (Reply(200, "<html>hello</html>"), "The server's answer is not JSON"),
        (Reply(200, ""), "The server's answer is not JSON"),
        (Reply(200, "{}"), "The server answered 2 crops with no list"),
        (Reply(200, json.dumps([entry()])), "The server answered 2 crops with 1 entry:"),
    ],
)
def test_a_refusal_in_the_second_request_changes_nothing(
    run: Run, server: Server, reply: Reply, line: str
) -> None:
    server.first = [Reply(200, json.dumps([entry(), entry()])), reply]
    objects = [figure() for _ in range(4)]
    result = run(objects, cropsPerRequest=2)
    assert line in result.lines[-1]
    assert result.lines[-1].endswith("Nothing was changed.")
    assert len(result.lines) == 2  # the other one: 2 of 4 answered
    assert result.asked == []
    assert untouched(result, objects)


def test_a_server_that_is_not_there(run: Run, server: Server) -> None:
    server.close()
    objects = [figure()]
    result = run(objects)
    assert result.lines == [
        f"No server answers at {server.address}: start it with `atypia serve`, and compare the "
        "address that it prints with the setting `server`. Nothing was changed."
    ]
    assert untouched(result, objects)


def test_failed_objects_are_named_and_the_others_classified(run: Run, server: Server) -> None:
    former = {P_ATYPICAL: 0.9, "Area": 3.0}
    good, bad = figure(), figure(measurements=former, metadata={PHASE: "anaphase", "note": "x"})
    empty, silent, damaged = figure(), figure(), figure(roi={"z": 1})
    away, many = figure(x=WIDE + 1), figure(roi={"points": 3})
    bad["pathClass"] = ATYPICAL
    bad["selected"] = True
    objects = [good, bad, empty, silent, damaged, away, many]
    for each in objects:
        each["selected"] = True
    server.entries = [
        entry("atypical", 0.8),
        entry(None, None, error="cannot be decoded"),
        entry("normal", "many"),
        entry(None, None),
    ]
    result = run(objects)
    assert result.lines[0] == "1 of 7 objects classified: 1 atypical, 0 normal, 0 refer."
    reasons = {line.split("(", 1)[1][:36]: line for line in result.lines[1:]}
    assert set(reasons) == {each["id"] for each in objects[1:]}
    for each, reason in (
        (bad, "cannot be decoded"),
        (empty, "the server's answer has no call"),
        (silent, "the server's answer has no call"),
        (damaged, "the slide cannot be read there (a damaged tile)"),
        (away, "it does not lie on the slide"),
        (many, "it has 3 points; split them first (Objects > Annotations > Split annotations)"),
    ):
        assert reasons[each["id"]].endswith(f": {reason}")
    assert "6 objects cannot be classified." in result.asked[0]
    # The result of an earlier run does not stand among those of this one.
    assert result.objects[bad["id"]]["class"] is None
    assert result.objects[bad["id"]]["measurements"] == {"Area": 3.0}
    assert result.objects[bad["id"]]["metadata"] == {"note": "x"}
    assert result.objects[empty["id"]]["class"] == "Mitosis"


def test_if_none_can_be_classified_nothing_is_changed(run: Run, server: Server) -> None:
    server.entries = [entry(None, None, error="cannot be decoded")]
    objects = [figure(measurements={P_ATYPICAL: 0.9})]
    result = run(objects)
    assert result.lines[0] == "Nothing was changed."
    assert result.lines[1].endswith("cannot be decoded")
    assert result.asked == []
    assert untouched(result, objects)


def test_results_of_an_earlier_run_are_replaced(run: Run, server: Server) -> None:
    again = figure(
        pathClass=ATYPICAL,
        selected=True,
        measurements={P_ATYPICAL: 0.9, SPREAD: 0.2, "Area": 3.0},
        metadata={PHASE: "anaphase", GIVEN: ATYPICAL, GIVEN_BY: "former"},
    )
    server.entries = [entry("normal", 0.2)]
    result = run([again])
    assert result.objects[again["id"]]["class"] == NORMAL
    assert result.objects[again["id"]]["measurements"] == {"Area": 3.0, P_ATYPICAL: 0.2}
    assert result.objects[again["id"]]["metadata"] == {GIVEN: NORMAL}


def test_locked_objects_stay_as_they_are_and_are_named(run: Run, server: Server) -> None:
    free, locked = figure(), figure(locked=True, name="mine")
    result = run([free, locked])
    assert untouched_class(result, locked) == "Mitosis"
    assert result.objects[locked["id"]]["measurements"] == {}
    assert len(server.requests[0].crops) == 1
    assert result.lines[0].startswith("1 of 2 objects classified")
    place = f"mine at x 250.0, y 200.0 px ({locked['id']})"
    assert result.lines[1:] == [f"left alone: {place}: it is locked"]


def test_who_says_no_keeps_everything(run: Run) -> None:
    objects = [figure()]
    result = run(objects, dialog=False)
    assert len(result.asked) == 1
    assert result.lines == ["Nothing was changed."]
    assert untouched(result, objects)


@pytest.mark.parametrize("options", [{"dialog": None}, {"dialog": False, "askFirst": False}])
def test_nobody_is_asked_without_a_user_interface_or_if_so_set(run: Run, options: Json) -> None:
    objects = [figure()]
    result = run(objects, **options)
    assert result.asked == []
    assert untouched_class(result, objects[0]) == NORMAL


def test_qupath_05_keeps_no_phase(run: Run, server: Server) -> None:
    server.entries = [entry("atypical", 0.8, phase="metaphase")]
    objects = [figure(measurements={P_ATYPICAL: 0.1})]
    result = run(objects, version="0.5")
    assert untouched_class(result, objects[0]) == ATYPICAL
    assert result.objects[objects[0]["id"]]["measurements"] == {P_ATYPICAL: 0.8}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"image": None}, "No image is open"),
        ({"pixel_um": (None, None)}, "The pixel size of this image is unknown"),
        ({"pixel_um": (0.25, 0.256)}, "not square (0.25 x 0.256 um)"),
        ({"rgb": False}, "not in 8-bit RGB"),
        ({"cropsPerRequest": 0}, "cropsPerRequest is 0; it must be 1 or more."),
        ({"className": "Figure"}, '"Figure" (classes here: Mitosis, Tumor)'),
        ({"server": "localhost:8807"}, "must begin with http:// or https://"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(
    run: Run, server: Server, options: Json, line: str
) -> None:
    objects = [figure(), figure(pathClass="Tumor")]
    result = run(objects, **options)
    assert len(result.lines) == 1
    assert line in result.lines[0]
    assert server.requests == []
    assert untouched(result, objects)


def test_nearly_square_pixels_are_square(run: Run, server: Server) -> None:
    result = run([figure()], pixel_um=(0.25, 0.254))
    assert result.updates == 1
