"""How fast voting is: the page, the server with thirty experts, a study of 100,000 figures.

python benchmarks/voting.py page       # needs chromium
python benchmarks/voting.py server
python benchmarks/voting.py large

page: from keydown to the second animation frame after the next crop is decoded and shown, in a
headless browser. server: 30 experts, each one vote a second for two minutes, on loopback. large:
time to open a study, and from then to the first block of figures.
"""

from __future__ import annotations

import http.client
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from atypia.apps.vote.app import make_app
from atypia.data.phantom import make_phantom
from atypia.study.create import create_study
from atypia.study.study import Study

EXPERTS, SECONDS = 30, 120
FIGURES = 100_000
_MEASURE = """
(code) => new Promise((done) => {
  const before = document.documentElement.dataset.shown;
  const begun = performance.now();
  document.dispatchEvent(new KeyboardEvent('keydown', {key: '2', code, bubbles: true}));
  const look = () => {
    if (document.documentElement.dataset.shown === before) return requestAnimationFrame(look);
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)));
  };
  look();
})
"""


def start(study: Path) -> tuple[subprocess.Popen[str], dict[str, str]]:
    command = [sys.executable, "-m", "atypia", "vote", "serve", str(study), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    links: dict[str, str] = {}
    while "lead" not in links:
        name, link = server.stdout.readline().split()
        links[name] = link
    return server, links


def percentile(values: list[float], share: int) -> float:
    return float(np.percentile(values, share))


def measure_page(folder: Path) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no chromium on this machine")
    cohort = make_phantom(folder / "cohort", figures=200, domains=2, size_px=128)
    create_study(cohort, folder / "study", ["anna"], rule="all")
    server, links = start(folder / "study")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1024, "height": 700})
        page.goto(links["anna"])
        page.wait_for_selector("#begin")
        page.keyboard.press("Enter")
        page.wait_for_timeout(1000)
        times = []
        for _ in range(150):
            times.append(page.evaluate(_MEASURE, "Digit2"))
            page.wait_for_timeout(300)  # nobody votes faster
        browser.close()
    server.kill()
    print(f"page: {len(times)} votes, median {statistics.median(times):.0f} ms, ", end="")
    print(f"95th percentile {percentile(times, 95):.0f} ms")


def vote_for(link: str, after_s: float, times: list[float], votes: list[int]) -> None:
    parts = urlsplit(link)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)

    def ask(method: str, path: str, body: object = None) -> dict[str, object]:
        content = None if body is None else json.dumps(body)
        connection.request(method, parts.path + path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status} {text!r}")
        return dict(json.loads(text))

    time.sleep(after_s)
    state = ask("GET", "next?count=200")
    change = state["change"]
    begun = time.monotonic()
    for number, item in enumerate(list(state["next"])[:SECONDS]):  # type: ignore[call-overload]
        time.sleep(max(0.0, begun + number - time.monotonic()))
        vote = {"showing": item["id"], "answer": "normal", "request": f"request-{number}"}
        sent = time.perf_counter()
        change = ask("POST", "votes", {"after": change, "votes": [vote]})["change"]
        times.append(1000 * (time.perf_counter() - sent))
        votes.append(1)


def measure_server(folder: Path) -> None:
    cohort = make_phantom(folder / "cohort", figures=150, domains=2, size_px=64)
    names = [f"e{number}" for number in range(EXPERTS)]
    create_study(cohort, folder / "study", names, rule="all")
    server, links = start(folder / "study")
    times: list[float] = []
    votes: list[int] = []
    threads = [
        threading.Thread(target=vote_for, args=(links[name], place / EXPERTS, times, votes))
        for place, name in enumerate(names)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.kill()
    stored = len(Study(folder / "study").store.votes())
    print(f"server: {len(votes):,} votes acknowledged, {stored:,} stored, ", end="")
    print(f"median {statistics.median(times):.1f} ms, 99th {percentile(times, 99):.1f} ms")


def measure_large(folder: Path) -> None:
    from starlette.testclient import TestClient

    from atypia.apps.vote.links import make_links

    cohort = make_phantom(folder / "cohort", figures=50, domains=2, size_px=64)
    times = FIGURES // len(cohort)
    frame = cohort.frame.loc[cohort.frame.index.repeat(times)].reset_index(drop=True)
    frame["figure_id"] = [f"f{number}" for number in range(len(frame))]
    create_study(replace(cohort, frame=frame), folder / "study", ["anna", "ben", "eva"])
    begun = time.perf_counter()
    study = Study(folder / "study")
    opened = time.perf_counter()
    links = make_links(study, "http://127.0.0.1:1")
    client = TestClient(make_app(study, hosts=["127.0.0.1:1"]), base_url="http://127.0.0.1:1")
    client.get(links["anna"])
    state = client.get(f"{links['anna']}next").json()
    shown = time.perf_counter()
    client.get(f"{links['anna']}next")
    again = time.perf_counter()
    print(f"large: {state['of']:,} places; opens in {opened - begun:.2f} s, ", end="")
    print(f"page and first block {shown - opened:.2f} s, a later block {again - shown:.3f} s")


def main() -> None:
    measures = {"page": measure_page, "server": measure_server, "large": measure_large}
    if len(sys.argv) != 2 or sys.argv[1] not in measures:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        measures[sys.argv[1]](Path(folder))


if __name__ == "__main__":
    main()
