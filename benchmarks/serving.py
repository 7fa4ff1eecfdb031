"""How fast `atypia serve` is, beside `atypia predict`; what it does under three times the load.

python benchmarks/serving.py load ../shared/data/ami-br --bundle bundles/atypia-lite
python benchmarks/serving.py memory ../shared/data/ami-br --bundle bundles/atypia-lite
python benchmarks/serving.py start --bundle bundles/atypia-lite

load: predict on 2,000 figures five times; then the same figures, five times, through the server, by
a client in another process, on loopback: 32 connections with 16 crops a request, and with one; then
96 connections, that send again what is refused. Every answer is compared with that of predict.
memory: 100,000 crops, the server's memory every 10,000. start: from the command to the first
answer.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from atypia.data.readers.open_figures import open_figures
from atypia.workflows.predict import predict

FIGURES, CROPS, CONNECTIONS = 2_000, 16, 32
ROUNDS = 5
MANY = 100_000
BOUNDARY = "crops"


def start(bundle: Path) -> tuple[subprocess.Popen[str], str]:
    words = ["serve", "--bundle", str(bundle), "--port", "0"]
    server = subprocess.Popen(
        [sys.executable, "-m", "atypia", *words], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    print(server.stdout.readline().strip())
    return server, server.stdout.readline().strip()


def make_body(files: list[tuple[str, bytes]], mpp: float) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="mpp"\r\n\r\n{mpp}\r\n'.encode()
    ]
    for name, data in files:
        head = f'Content-Disposition: form-data; name="files"; filename="{name}"'
        parts.append(f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def ask(address: str, bodies: list[bytes], connections: int, out: str) -> None:
    """Send all bodies over some connections; what is refused, again after a while."""
    place = urlsplit(address)
    waiting = list(enumerate(bodies))
    lock = threading.Lock()
    answers: dict[int, str] = {}
    seconds: list[float] = []
    refused = [0]

    def work() -> None:
        link = http.client.HTTPConnection(str(place.hostname), place.port, timeout=120)
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        while True:
            with lock:
                if not waiting:
                    return
                number, body = waiting.pop()
            while True:
                begun = time.perf_counter()
                link.request("POST", "/v1/classify", body, headers)
                answer = link.getresponse()
                content = answer.read()
                if answer.status != 429:
                    break
                refused[0] += 1
                time.sleep(0.2)  # sooner than it is asked to: the load stays three times as high
            with lock:
                seconds.append(time.perf_counter() - begun)
                answers[number] = content.decode() if answer.status == 200 else ""

    begun = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = time.perf_counter() - begun
    with Path(out).open("w", encoding="utf-8") as handle:
        json.dump(
            {
                "total": total,
                "median": statistics.median(seconds),
                "p99": statistics.quantiles(seconds, n=100)[98],
                "refused": refused[0],
                "answers": [answers[number] for number in range(len(bodies))],
            },
            handle,
        )


def ask_elsewhere(address: str, bodies: list[bytes], connections: int) -> dict[str, object]:
    """As `ask`, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder, "answers.json"))
        spawn = multiprocessing.get_context("spawn")
        process = spawn.Process(target=ask, args=(address, bodies, connections, out))
        process.start()
        process.join()
        found: dict[str, object] = json.loads(Path(out).read_text(encoding="utf-8"))
        return found


def load(figures: Path, bundle: Path) -> None:
    table = open_figures(figures)
    frame = table.frame.iloc[:FIGURES]
    files = [
        (f"{row}", table.image_path(image).read_bytes()) for row, image in enumerate(frame["image"])
    ]
    mpp = float(frame["mpp"].iloc[0])
    same = frame["mpp"] == mpp
    with tempfile.TemporaryDirectory() as folder:
        crops = Path(folder, "crops")
        crops.mkdir()
        for (name, data), image in zip(files, frame["image"], strict=True):
            (crops / f"{name}{Path(image).suffix}").write_bytes(data)
        rates = []
        for number in range(ROUNDS):
            out = Path(folder, f"{number}.csv")
            rates.append(predict(crops, out, bundle=bundle, mpp=mpp).crops_per_s)
        wanted = pd.read_csv(out).set_index("figure_id")["p_atypical"]
    wanted.index = [int(Path(str(name)).stem) for name in wanted.index]
    print(
        f"predict: {min(rates):.0f} to {max(rates):.0f} crops/s "
        f"({len(files):,} crops, {same.mean():.0%} at {mpp})"
    )
    server, address = start(bundle)
    try:
        ask_elsewhere(address, [make_body(files[:CROPS], mpp)] * 8, 8)  # warm
        for crops_each, connections in ((CROPS, CONNECTIONS), (1, CONNECTIONS), (CROPS, 96)):
            bodies = [
                make_body(files[first : first + crops_each], mpp)
                for first in range(0, len(files), crops_each)
            ]
            bodies *= ROUNDS if crops_each > 1 else 1  # long enough to count
            found = ask_elsewhere(address, bodies, connections)
            lost, mixed, worst = 0, 0, 0.0
            for number, text in enumerate(found["answers"]):  # type: ignore[arg-type]
                if not text:
                    lost += 1
                    continue
                first = number * crops_each % (-(-len(files) // crops_each) * crops_each)
                for place, entry in enumerate(json.loads(text)):
                    mixed += entry["figure_id"] != str(first + place)
                    worst = max(worst, abs(entry["p_atypical"] - wanted[first + place]))
            rate = sum(map(len, (json.loads(text) for text in found["answers"]))) / found["total"]  # type: ignore
            print(
                f"{connections} connections, {crops_each} crops a request: {rate:.0f} crops/s "
                f"({rate / max(rates):.2f} of predict), median {1000 * found['median']:.0f} ms, "  # type: ignore[operator]
                f"99th {1000 * found['p99']:.0f} ms; {found['refused']} times 429, {lost} lost, "  # type: ignore[operator]
                f"{mixed} mixed up, P differs by at most {worst:.1e}"
            )
    finally:
        server.terminate()
        server.wait()


def read_memory(pid: int) -> float:
    """Return the memory of a process, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(figures: Path, bundle: Path) -> None:
    table = open_figures(figures)
    frame = table.frame.iloc[:FIGURES]
    files = [
        (str(row), table.image_path(name).read_bytes()) for row, name in enumerate(frame["image"])
    ]
    mpp = float(frame["mpp"].iloc[0])
    bodies = [make_body(files[at : at + CROPS], mpp) for at in range(0, FIGURES, CROPS)]
    server, address = start(bundle)
    try:
        for done in range(0, MANY + 1, 10_000):
            print(f"{done:,} crops: {read_memory(server.pid):.0f} MB", flush=True)
            if done < MANY:
                ask_elsewhere(address, bodies * (10_000 // FIGURES), CONNECTIONS)
    finally:
        server.terminate()
        server.wait()


def first_answer(bundle: Path) -> None:
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        server, address = start(bundle)
        place = urlsplit(address)
        link = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
        link.request("GET", "/health")
        link.getresponse().read()
        times.append(time.perf_counter() - begun)
        server.terminate()
        server.wait()
    print(f"from the command to the first answer: {', '.join(f'{each:.2f}' for each in times)} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("load", "memory", "start"))
    parser.add_argument("figures", type=Path, nargs="?")
    parser.add_argument("--bundle", type=Path, required=True)
    options = parser.parse_args()
    if options.what == "start":
        first_answer(options.bundle)
    else:
        {"load": load, "memory": memory}[options.what](options.figures, options.bundle)


if __name__ == "__main__":
    main()
