"""Kill train, predict, slides and export at random moments, and see whether anybody loses by it.

Each time, a fresh folder with a user's files beside the outputs: the command is started there,
killed, looked after, and given once more. What must hold is in `_after_kill` and `_at_the_end`.

    python campaigns/kill.py --verb train --signal KILL --times 50 --seed 0

Results are appended to docs/campaigns/kill.jsonl, one line a kill; those that are there already
(same code, verb, signal, seed and number) are not done again.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM}
# Checkpoints are minutes apart; of a run of seconds none would be hit.
START = (
    "import atypia.training.loop as loop; loop.CHECKPOINT_SECONDS = 0.2; "
    "from atypia.cli.main import run; run()"
)
CHANGES = (
    *("folds.count=2", "schedule.epochs=2", "schedule.min_steps=1", "schedule.batch_size=8"),
    *("backbone.input_px=32", "backbone.pretrained=false", "adapter.kind=full", "phase.weight=0"),
)
ONE_MEMBER = ("--members", "1")
ON_CPU = ("--device", "cpu", "--threads", "1")
# What two runs differ in, and may: when they were, and how long they took.
TIMES = re.compile(r"started|ended|seconds.*|.*_s|peak_memory_gb")
# In the names of what a run keeps for itself: of the inputs' places and times.
_HASH = re.compile(r"[0-9a-f]{16,}")
# Of hashes that files had, times in them included.
NOTES = ".atypia"
ENDS_WITHIN_S = 60


@dataclass(frozen=True)
class Verb:
    """A command to kill, and the user's files and its outputs in its folder.

    Attributes:
        arguments: of `atypia`, relative to the folder.
        outputs: files and folders that it writes.
        inputs: of the fixture, which are laid into the folder.
        start: a Python program in place of `-m atypia`, to have checkpoints.
    """

    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    start: str | None = None


VERBS = {
    "train": Verb(
        (
            *("train", "cohort", "--recipe", "lite", "--out", "run", *ON_CPU),
            *(word for change in CHANGES for word in ("--set", change)),
        ),
        ("run",),
        ("cohort",),
        START,
    ),
    "predict": Verb(
        (
            *("predict", "cohort", "--bundle", "bundle", "--out", "results/predictions.csv"),
            *(*ON_CPU, *ONE_MEMBER),
        ),
        ("results",),
        ("cohort", "bundle"),
    ),
    "slides": Verb(
        ("slides", "slides.csv", "--bundle", "bundle", "--out", "results", *ON_CPU, *ONE_MEMBER),
        ("results",),
        ("slides.csv", "slides", "bundle"),
    ),
    "export": Verb(
        ("bundle", "export", "bundle", "--out", "exported/bundle.onnx", *ONE_MEMBER),
        ("exported",),
        ("bundle",),
    ),
}


@dataclass(frozen=True)
class Kill:
    """What came of a kill.

    Attributes:
        code: that was tried, the last commit that changed `src`.
        verb: a key of `VERBS`.
        signal: KILL or TERM.
        seed: of the moments.
        number: of the kill.
        moment: of the command's usual duration, 0 to 1.
        seconds: after the start.
        exit_code: as a shell has it: 128 + the signal.
        ended: the command was done before the signal came.
        outcome: "held", or what did not, one line each.
    """

    code: str
    verb: str
    signal: str
    seed: int
    number: int
    moment: float
    seconds: float
    exit_code: int
    ended: bool
    outcome: str


@dataclass(frozen=True)
class Reference:
    """An unkilled run: seconds, outputs without times, and names left in its temporary folder."""

    seconds: float
    outputs: dict[str, str]
    temporary: frozenset[str]


def main() -> int:
    """Kill, and return 1 if anything did not hold."""
    asked = _arguments()
    sys.path.insert(0, str(ROOT / "src"))  # the code beside this file, whatever is installed
    code = _git("log", "-1", "--format=%h", "--", "src")
    done = {_key(line) for line in _lines(asked.results) if line["code"] == code}
    found = 0
    with tempfile.TemporaryDirectory(prefix="atypia-kill-") as name:
        work = asked.work or Path(name)
        _make_fixture(work / "fixture")
        print(f"kills of {', '.join(asked.verb)} at {code}, in {work}", flush=True)
        for verb in asked.verb:
            todo = [
                (signal_name, number)
                for number in range(asked.times)
                for signal_name in asked.signal
                if (verb, signal_name, asked.seed, number) not in done
            ]
            if not todo:
                continue
            reference = _measure(work, verb, asked.workers)
            print(f"{verb}: {len(todo)} kills, usually {reference.seconds:.1f} s", flush=True)
            found += _kills(work, verb, todo, reference, asked, code)
    return int(found > 0)


def _kills(
    work: Path,
    verb: str,
    todo: list[tuple[str, int]],
    reference: Reference,
    asked: argparse.Namespace,
    code: str,
) -> int:
    started, ended, found = time.monotonic(), 0, 0
    writing = threading.Lock()

    def do(one: tuple[str, int]) -> None:
        nonlocal ended, found
        kill = _kill(work, verb, *one, reference, asked, code)
        with writing:
            ended += 1
            found += kill.outcome != "held"
            asked.results.parent.mkdir(parents=True, exist_ok=True)
            with asked.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(kill)) + "\n")
            left = (time.monotonic() - started) / ended * (len(todo) - ended)
            print(
                f"{verb} {kill.signal} {kill.number}: at {kill.seconds:.1f} s "
                f"({kill.moment:.0%}), exit {kill.exit_code}"
                f"{', already done' if kill.ended else ''}: {kill.outcome}  "
                f"[{ended} of {len(todo)}, {found} did not hold, {left / 60:.0f} min left]",
                flush=True,
            )

    with ThreadPoolExecutor(asked.workers) as pool:
        list(pool.map(do, todo))
    return found


def _kill(
    work: Path,
    verb: str,
    signal_name: str,
    number: int,
    reference: Reference,
    asked: argparse.Namespace,
    code: str,
) -> Kill:
    """Start, kill, look, and start again, in a folder of its own."""
    rng = random.Random(f"{verb} {signal_name} {asked.seed} {number}")
    moment = (number + rng.random()) / asked.times  # spread evenly: importing as well as writing
    folder = work / f"{verb}-{signal_name}-{number}"
    while True:
        users = _lay_out(work / "fixture", folder, VERBS[verb])
        process = _start(folder, verb)
        begun = time.monotonic()
        seconds = moment * reference.seconds
        try:
            process.wait(timeout=seconds)
            ended = True
        except subprocess.TimeoutExpired:
            ended = False
        os_kill(process, SIGNALS[signal_name])
        try:
            said, _ = process.communicate(timeout=ENDS_WITHIN_S)
            faults = []
        except subprocess.TimeoutExpired:
            faults = [f"did not end within {ENDS_WITHIN_S} s of the signal"]
            os_kill(process, signal.SIGKILL)
            said, _ = process.communicate()
        if not ended or moment < 0.02:
            break
        moment *= 0.9  # a machine with less to do is faster: it was done already
    seconds = min(seconds, time.monotonic() - begun)
    exit_code = 128 - process.returncode if process.returncode < 0 else process.returncode
    # A command may be done in the instant that the signal comes.
    ended = ended or exit_code == 0
    expected = 128 + SIGNALS[signal_name]
    if not ended and exit_code != expected:
        faults.append(f"exit code {exit_code}, expected {expected}: {_last_line(said)}")
    faults += _after_kill(folder, verb, users, signal_name)
    again = _start(folder, verb)
    said, _ = again.communicate()
    if again.returncode:
        faults.append(f"the same command then exits with {again.returncode}: {_last_line(said)}")
    faults += _at_the_end(folder, verb, users, reference)
    if faults and asked.keep:
        shutil.copytree(folder, asked.keep / folder.name, dirs_exist_ok=True)
    shutil.rmtree(folder)
    outcome = "; ".join(dict.fromkeys(faults)) or "held"
    return Kill(
        code=code,
        verb=verb,
        signal=signal_name,
        seed=asked.seed,
        number=number,
        moment=round(moment, 3),
        seconds=round(seconds, 2),
        exit_code=exit_code,
        ended=ended,
        outcome=outcome.replace(str(folder), "FOLDER"),
    )


def _last_line(said: str) -> str:
    return (said.strip().splitlines() or [""])[-1][:300]


def _after_kill(folder: Path, verb: str, users: dict[str, str], signal_name: str) -> Iterator[str]:
    """Yield what does not hold right after a kill."""
    yield from _changes(folder, users)
    for path in _outputs(folder, verb):
        if ".partial-" not in str(path.relative_to(folder)):
            fault = _unreadable(path)
            if fault:
                yield f"{path.relative_to(folder)} is half written ({fault})"
    if signal_name == "TERM":
        yield from _left_over(folder, verb)


def _at_the_end(
    folder: Path, verb: str, users: dict[str, str], reference: Reference
) -> Iterator[str]:
    """Yield what does not hold when the command was given again and has ended."""
    yield from _changes(folder, users)
    yield from _left_over(folder, verb)
    there = _contents(folder, verb)
    for name in sorted(reference.outputs.keys() | there.keys()):
        if name not in there:
            yield f"{name} is missing at the end"
        elif name not in reference.outputs:
            yield f"{name} is left behind"
        elif there[name] != reference.outputs[name]:
            yield f"{name} is not that of an unkilled run"
    for name in sorted({_kind(left) for left in _temporary(folder)} - reference.temporary):
        yield f"TMPDIR/{name} is left behind"


def _changes(folder: Path, users: dict[str, str]) -> Iterator[str]:
    now = _hashes(folder, VERBS[_verb_of(folder)])
    for name, was in users.items():
        if name not in now:
            yield f"the user's {name} is gone"
        elif now[name] != was:
            yield f"the user's {name} has changed"
    for name in sorted(now.keys() - users.keys()):
        yield f"{name} is new among the user's files"


def _left_over(folder: Path, verb: str) -> Iterator[str]:
    for path in folder.rglob("*"):
        if re.search(r"\.(partial|old)-", path.name):
            yield f"{_kind(str(path.relative_to(folder)))} is left behind"


def _verb_of(folder: Path) -> str:
    return folder.name.split("-")[0]


def _kind(name: str) -> str:
    """Return a name without the process's number or random letters in it."""
    return re.sub(r"-\d+|(?<=tmp)\w+", "-N", name)


def _unreadable(path: Path) -> str | None:
    """Return why a file cannot be read, or None where it can."""
    reader = READERS.get(path.suffix)
    try:
        if reader is not None:
            reader(path)
    except Exception as fault:  # whatever a reader says of half a file
        return f"{type(fault).__name__}: {str(fault)[:100]}"
    if path.name == "sha256sums":
        from atypia.bundle.verify import bundle_faults

        faults = bundle_faults(path.parent)
        return faults[0] if faults else None
    return None


def _read_csv(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if len({len(row) for row in csv.reader(text.splitlines())}) > 1 or not text.endswith("\n"):
        raise ValueError("is cut off")


def _read_lines(path: Path) -> None:
    # A record that grows may end in half a line, which the next start takes away.
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        json.loads(line)


def _read_safetensors(path: Path) -> None:
    from safetensors.numpy import load_file

    load_file(path)


def _read_onnx(path: Path) -> None:
    import onnx

    onnx.checker.check_model(onnx.load(path))


def _read_npy(path: Path) -> None:
    import numpy as np

    np.load(path, mmap_mode="r")


def _read_picture(path: Path) -> None:
    from PIL import Image

    Image.open(path).load()


def _read_html(path: Path) -> None:
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise ValueError("is cut off")


def _read_zip(path: Path) -> None:
    zipfile.ZipFile(path).testzip()


READERS: dict[str, Callable[[Path], object]] = {
    ".csv": _read_csv,
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".geojson": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".jsonl": _read_lines,
    ".toml": lambda path: tomllib.loads(path.read_text(encoding="utf-8")),
    ".safetensors": _read_safetensors,
    ".onnx": _read_onnx,
    ".npy": _read_npy,
    ".png": _read_picture,
    ".jpg": _read_picture,
    ".html": _read_html,
    ".pt": _read_zip,
}


def _contents(folder: Path, verb: str) -> dict[str, str]:
    """Return a hash of what each output holds, times apart, by name."""
    return {
        _HASH.sub("HASH", str(path.relative_to(folder))): _content(path, folder)
        for path in _outputs(folder, verb)
        if "tensorboard" not in path.parts  # its files are named by the time
    }


def _content(path: Path, folder: Path) -> str:
    content = path.read_bytes().replace(str(folder).encode(), b"FOLDER")
    if path.suffix == ".json":
        try:
            plain = _without_times(json.loads(content))
        except ValueError:
            return "no JSON"
        return _sha256(json.dumps(plain, sort_keys=True).encode())
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        tensors = _without_times(load_file(path))
        return _sha256(
            repr([(name, of.dtype, of.tobytes()) for name, of in sorted(tensors.items())]).encode()
        )
    if path.suffix == ".lock" or NOTES in path.parts:
        return ""
    if path.name.startswith("slides.") or path.suffix == ".html":
        content = re.sub(rb"\d+(\.\d+)? s\b|\d{4}-\d\d-\d\d \d\d:\d\d UTC", b"", content)
    return _sha256(content)


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_times(inner) for key, inner in value.items() if not TIMES.fullmatch(key)
        }
    return [_without_times(inner) for inner in value] if isinstance(value, list) else value


def _outputs(folder: Path, verb: str) -> list[Path]:
    return sorted(
        path
        for name in VERBS[verb].outputs
        for path in (folder / name).rglob("*")
        if path.is_file()
    )


def _temporary(folder: Path) -> list[str]:
    return [path.name for path in _beside(folder, "tmp").iterdir()]


def _beside(folder: Path, name: str) -> Path:
    return folder.with_name(f"{folder.name}.{name}")


def _hashes(folder: Path, verb: Verb) -> dict[str, str]:
    """Return the SHA-256 of every file that is none of the command's outputs, by name."""
    names = {path: str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {
        name: _sha256(path.read_bytes())
        for path, name in names.items()
        if name.split("/")[0] not in verb.outputs
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _lay_out(fixture: Path, folder: Path, verb: Verb) -> dict[str, str]:
    """Make a fresh folder of a user's files, and return their hashes."""
    for old in (folder, _beside(folder, "tmp")):
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir(parents=True)
    for name in (*verb.inputs, "notes.txt", "pathologist.geojson", "last_year"):
        copy = shutil.copytree if (fixture / name).is_dir() else shutil.copy2
        copy(fixture / name, folder / name)
    return _hashes(folder, verb)


def _make_fixture(folder: Path) -> None:
    """Write the inputs of every verb, and what else lies about in a user's folder."""
    import numpy as np
    import tifffile

    from atypia.data.phantom import make_phantom

    shutil.rmtree(folder, ignore_errors=True)
    make_phantom(folder / "cohort", figures=24, domains=2, slides_per_domain=4, size_px=96, seed=0)
    shutil.copytree(ROOT / "bundles" / "atypia-lite", folder / "bundle")
    (folder / "slides").mkdir()
    rng, lines = np.random.default_rng(0), ["slide,points,case,area_mm2"]
    for number in range(6):
        coarse = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        tifffile.imwrite(
            folder / "slides" / f"s{number}.tif",
            coarse.repeat(8, axis=0).repeat(8, axis=1),
            tile=(64, 64),
            photometric="rgb",
            resolution=(4e4, 4e4),
            resolutionunit="CENTIMETER",
        )
        features = [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [float(x), float(y)]},
                "properties": {"objectType": "annotation"},
            }
            for x, y in rng.integers(10, 118, (4, 2))
        ]
        (folder / "slides" / f"s{number}.geojson").write_text(json.dumps(features))
        lines.append(f"slides/s{number}.tif,slides/s{number}.geojson,case{number // 2},0.5")
    (folder / "slides.csv").write_text("\n".join(lines) + "\n")
    (folder / "notes.txt").write_text("ask the second reader about slide 3\n")
    shutil.copy(folder / "slides" / "s0.geojson", folder / "pathologist.geojson")
    old = folder / "last_year"
    old.mkdir()
    for name in ("predictions.csv", "s0.geojson", "bundle.onnx", "report.html", "metrics.json"):
        (old / name).write_text("of an earlier study\n")


def _start(folder: Path, verb: str) -> subprocess.Popen[str]:
    of = VERBS[verb]
    start = ["-c", of.start] if of.start else ["-m", "atypia"]
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, *start, *of.arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ
        | {
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(_beside(folder, "tmp")),
            "HOME": str(home),
            "PYTHONPATH": str(ROOT / "src"),
        },
    )


def os_kill(process: subprocess.Popen[str], what: signal.Signals) -> None:
    """Send a signal to a process and all that it started."""
    try:
        os.killpg(process.pid, what)
    except ProcessLookupError:
        return


def _measure(work: Path, verb: str, workers: int) -> Reference:
    """Run a command, and again as busy as the machine will be; refuse it if the runs differ."""

    def run(number: int) -> Reference:
        folder = work / f"{verb}-unkilled-{number}"
        users = _lay_out(work / "fixture", folder, VERBS[verb])
        started = time.monotonic()
        process = _start(folder, verb)
        said, _ = process.communicate()
        seconds = time.monotonic() - started
        if process.returncode:
            raise SystemExit(f"{verb} fails without a kill, exit {process.returncode}:\n{said}")
        if faults := list(_changes(folder, users)):
            raise SystemExit(f"{verb} without a kill: {'; '.join(faults)}")
        return Reference(
            seconds, _contents(folder, verb), frozenset(map(_kind, _temporary(folder)))
        )

    other = run(0)  # fills the caches in HOME
    with ThreadPoolExecutor(workers) as pool:
        one, *_ = pool.map(run, range(1, workers + 1))
    differing = [
        name
        for name in one.outputs.keys() | other.outputs.keys()
        if one.outputs.get(name) != other.outputs.get(name)
    ]
    if differing:
        raise SystemExit(f"{verb}: two unkilled runs differ in {', '.join(sorted(differing))}")
    return one


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _key(line: dict[str, Any]) -> tuple[object, ...]:
    return line["verb"], line["signal"], line["seed"], line["number"]


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verb", nargs="+", choices=VERBS, default=list(VERBS))
    parser.add_argument("--signal", nargs="+", choices=SIGNALS, default=list(SIGNALS))
    parser.add_argument("--times", type=int, default=50, help="kills for each verb and signal")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--workers", type=int, default=2, help="kills side by side")
    parser.add_argument("--work", type=Path, help="folder to work in, left there")
    parser.add_argument("--keep", type=Path, help="folder for what did not hold, as it was then")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "campaigns" / "kill.jsonl")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
