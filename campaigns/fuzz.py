"""Fuzz every reader of what comes from outside: each input gives a result or one `AtypiaError`.

    python campaigns/fuzz.py --minutes 10
    python campaigns/fuzz.py --target geojson --count 100000 --seed 0

Hypothesis makes half of the inputs, atheris (guided by the code that they reach) the other half;
where atheris is not installed, hypothesis makes all. A finding is another exception than
`AtypiaError`, a promise that is not kept (targets.py), a message of too many lines, an input that
takes more than 10 s, or more than 2 GB of memory. It is made small and written to `--out`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import json
import math
import mmap
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import targets
from mutate import Choices

ROOT = Path(__file__).resolve().parents[1]
SUMMARY = ROOT / "docs" / "campaigns" / "fuzz.jsonl"
MOST_SECONDS = 10.0
MOST_BYTES = 2 * 2**30
MOST_LINES, MOST_CHARACTERS = 40, 10_000
_START_SECONDS = 120.0  # to import a reader on a busy machine
_BATCH = 1_000  # of hypothesis, which remembers all examples of a run
_SMALLER_SECONDS = 15.0


@dataclass(frozen=True)
class Summary:
    """What came of a target: a line of docs/campaigns/fuzz.jsonl."""

    target: str
    inputs: int
    accepted: int
    seconds: float
    findings: int
    peak_mb: int
    engines: str
    seed: int
    commit: str


class Progress:
    """Where a child is, in memory that its parent can read when it has died.

    Attributes: inputs done, those accepted, peak memory in bytes, when the present input was begun
    (s, monotonic; 0 between inputs), and that input.
    """

    _HEAD = struct.Struct("<QQQdQQ")
    _SIZE = 2**22

    def __init__(self, path: Path) -> None:
        """Open a file, which is made if it is not there."""
        if not path.exists():
            path.write_bytes(b"\0" * self._SIZE)
        self._file = path.open("r+b")
        self._memory = mmap.mmap(self._file.fileno(), self._SIZE)
        self.inputs, self.accepted = 0, 0

    def begin(self, name: str, data: bytes) -> None:
        """Note an input before it is tried."""
        self._write(time.monotonic(), name.encode(), data[: self._SIZE // 2])

    def end(self, accepted: bool) -> None:
        """Note that it was tried."""
        self.inputs += 1
        self.accepted += accepted
        self._write(0.0, b"", b"")

    def _write(self, begun: float, name: bytes, data: bytes) -> None:
        head = (self.inputs, self.accepted, peak_bytes(), begun, len(name), len(data))
        self._memory[: self._HEAD.size] = self._HEAD.pack(*head)
        self._memory[self._HEAD.size : self._HEAD.size + len(name) + len(data)] = name + data

    def read(self) -> tuple[int, int, int, float, str, bytes]:
        """Return inputs done, accepted, peak memory, begun, name and bytes of the present one."""
        head = self._HEAD.unpack(self._memory[: self._HEAD.size])
        inputs, accepted, peak, begun, name, size = head
        at = self._HEAD.size
        text = self._memory[at : at + name].decode(errors="replace")
        return inputs, accepted, peak, begun, text, self._memory[at + name : at + name + size]


def peak_bytes() -> int:
    """Return the most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> int:
    """Fuzz, and return 1 if anything was found."""
    asked = _arguments()
    sys.path.insert(0, str(ROOT / "src"))  # the code beside this file, whatever is installed
    if asked.replay is not None:
        return _replay(asked.target[0], asked.replay)
    if asked.child is not None:
        return _child(asked)
    names = asked.target or list(targets.TARGETS)
    seconds = asked.minutes * 60 * asked.workers / len(names) if asked.minutes else None
    with ThreadPoolExecutor(asked.workers) as pool:
        found = sum(pool.map(lambda name: _fuzz(name, asked, seconds), names))
    print(f"{found} findings in {asked.out}" if found else "nothing was found")
    return int(found > 0)


def _fuzz(name: str, asked: argparse.Namespace, seconds: float | None) -> int:
    """Fuzz one target in processes of its own, with each engine in turn; return the findings."""
    count = asked.count or (targets.TARGETS[name].count if seconds is None else sys.maxsize)
    engines = ["hypothesis", "atheris"] if importlib.util.find_spec("atheris") else ["hypothesis"]
    started, inputs, accepted, peak = time.monotonic(), 0, 0, 0
    out: Path = asked.out / name
    out.mkdir(parents=True, exist_ok=True)
    for engine in engines:  # of an earlier campaign: this one's faults are its own
        (out / f"{engine}-stopped.txt").unlink(missing_ok=True)
        (out / f"{engine}-does-not-start.txt").unlink(missing_ok=True)
    before = {path.name for path in out.glob("*.txt")}
    for number, engine in enumerate(engines, start=1):
        goal = count if count == sys.maxsize else count * number // len(engines)
        until = started + seconds * number / len(engines) if seconds else None
        while inputs < goal and (until is None or time.monotonic() < until):
            done = _watch(name, engine, asked, inputs, goal, until, started)
            inputs, accepted, peak = inputs + done[0], accepted + done[1], max(peak, done[2])
            if not done[0] and not done[3] and (until is None or time.monotonic() < until):
                # A reader that cannot even be prepared: its part of the campaign has failed.
                shutil.copy(out / "log", out / f"{engine}-does-not-start.txt")
                break
    found = {path.name for path in out.glob("*.txt")} - before
    taken = time.monotonic() - started
    summary = Summary(
        name,
        inputs,
        accepted,
        round(taken, 1),
        len(found),
        peak // 2**20,
        "+".join(engines),
        asked.seed,
        _commit(),
    )
    print(
        f"{name}: {inputs} inputs, {accepted} accepted, {inputs / taken:.0f} a second, "
        f"{len(found)} findings, at most {summary.peak_mb} MB",
        flush=True,
    )
    if asked.summary is not None:
        asked.summary.parent.mkdir(parents=True, exist_ok=True)
        with asked.summary.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(summary)) + "\n")
    return len(found)


def _watch(
    name: str,
    engine: str,
    asked: argparse.Namespace,
    done: int,
    goal: int,
    until: float | None,
    started: float,
) -> tuple[int, int, int, bool]:
    """Run a child until its work is done or it had to be ended.

    Returns:
        Inputs, those accepted, peak memory in bytes, and whether an input had ended the child.
    """
    out: Path = asked.out / name
    with _folder() as work, (out / "log").open("w") as log:
        progress = Progress(Path(work) / "progress")
        child = subprocess.Popen(
            [
                *(sys.executable, __file__, "--target", name, "--child", engine),
                *("--work", work, "--out", str(asked.out)),
                *("--seed", str(asked.seed * 1_000_003 + done), "--count", str(goal - done)),
            ],
            stdout=log,
            stderr=log,
            env=os.environ
            | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
            | (
                {"PYTHONPATH": f"{ROOT / 'src'}:{os.environ['PYTHONPATH']}"}
                if "PYTHONPATH" in os.environ
                else {}
            ),
        )
        told = time.monotonic()
        starts_until = told + _START_SECONDS
        why = ""
        while child.poll() is None and not why:
            time.sleep(0.1)
            now = time.monotonic()
            inputs, _, peak, begun, _, _ = progress.read()
            if begun and now - begun > MOST_SECONDS:
                why = f"took more than {MOST_SECONDS:.0f} s"
            elif max(peak, _resident(child.pid)) > MOST_BYTES:
                why = "needs more than 2 GB"
            elif now > min(until or math.inf, math.inf if inputs or begun else starts_until):
                break
            if now - told > 30:
                told = now
                _tell(name, done + inputs, goal, started, until)
        by_itself = child.poll() is not None
        child.kill()
        child.wait()
        inputs, accepted, peak, begun, file, data = progress.read()
        if not why and begun and child.returncode < 0 and not (until and time.monotonic() > until):
            why = f"ends the process by signal {-child.returncode}"
        if why:
            _write_finding(out, why, file, data, why)
            inputs += 1
        elif by_itself and inputs and (child.returncode or inputs < goal - done):
            # Not the reader's fault, but the campaign's own.
            log.flush()
            shutil.copy(out / "log", out / f"{engine}-stopped.txt")
    return inputs, accepted, peak, bool(why)


def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder, in memory where there is one: each input is a file."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(
        prefix="atypia-fuzz-", dir=memory if os.access(memory, os.W_OK) else None
    )


def _tell(name: str, done: int, goal: int, started: float, until: float | None) -> None:
    now = time.monotonic()
    rate = done / (now - started)
    left = until - now if until is not None else (goal - done) / max(rate, 0.1)
    of = "" if goal == sys.maxsize else f" of {goal}"
    print(f"{name}: {done}{of}, {rate:.0f} a second, {left / 60:.1f} min left", flush=True)


def _resident(pid: int) -> int:
    """Return the memory that a process holds now, 0 where the system does not say it."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * mmap.PAGESIZE
    except (OSError, IndexError):
        return 0


def _child(asked: argparse.Namespace) -> int:
    """Fuzz one target here."""
    warnings.simplefilter("ignore")
    # A writing that ends here would end the campaign; the disk is not what is fuzzed.
    os.fsync = lambda handle: None
    name = asked.target[0]
    tried = _Trying(name, asked)
    if asked.child == "atheris":
        _by_atheris(tried, asked)
    else:
        _by_hypothesis(tried, asked)
    return 0


class _Trying:
    """One target, as it is tried with one input after the other."""

    def __init__(self, name: str, asked: argparse.Namespace) -> None:
        """Import the reader; under atheris with its branches traced."""
        self._out, self._work = asked.out / name, asked.work
        tracing: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        if asked.child == "atheris":
            import atheris

            tracing = atheris.instrument_imports(include=["atypia"])
        with tracing:
            self.make, self.check = targets.TARGETS[name].prepare(asked.work)
        self.progress = Progress(asked.work / "progress")
        self.goal = asked.count
        self._known = {path.stem for path in self._out.glob("*.txt")}

    def __call__(self, data: bytes, words: tuple[str, ...] = ()) -> None:
        """Try the input that these bytes make; what it does wrong is kept."""
        file, content = self.make(Choices.of(data, words))
        self.progress.begin(file, content)
        accepted, fault = self.judge(file, content)
        self.progress.end(accepted)
        if fault is not None:
            signature = _signature(fault[0], fault[1])
            if signature not in self._known:
                self._known.add(signature)
                small = self._smaller(file, content, signature)
                _write_finding(self._out, signature, file, small, fault[1])

    def judge(self, file: str, content: bytes) -> tuple[bool, tuple[str, str] | None]:
        """Return whether an input is accepted, and what is wrong: in short, and at length."""
        from atypia.errors import AtypiaError

        folder = self._work / "input"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path = folder / file
        path.write_bytes(content)
        try:
            self.check(path)
        except AtypiaError as refusal:
            text = str(refusal)
            if len(text.splitlines()) > MOST_LINES or len(text) > MOST_CHARACTERS:
                raised = _last_of_ours(refusal.__traceback__)
                size = f"{len(text.splitlines())} lines, {len(text)} characters"
                return False, (f"long message {raised}", f"{size}:\n{text[:3000]}")
            return False, None
        except targets.BrokenPromiseError as fault:
            return True, (f"broken promise {fault}", str(fault))
        except Exception as fault:
            raised = _last_of_ours(fault.__traceback__)
            trace = "".join(traceback.format_exception(fault, limit=-25))
            return False, (f"{type(fault).__name__} {raised}", trace[-6000:])
        return True, None

    def _smaller(self, file: str, content: bytes, signature: str) -> bytes:
        """Take parts out of an input for as long as it does the same wrong."""
        until = time.monotonic() + _SMALLER_SECONDS
        size = max(1, len(content) // 2)
        while size:
            at, shorter = 0, False
            while at < len(content):
                if time.monotonic() > until:
                    return content
                trial = content[:at] + content[at + size :]
                self.progress.begin(file, trial)
                _, fault = self.judge(file, trial)
                if fault is not None and _signature(*fault) == signature:
                    content, shorter = trial, True
                else:
                    at += size
            size = size if shorter and size < len(content) else size // 2
        return content


def _by_hypothesis(tried: _Trying, asked: argparse.Namespace) -> None:
    import hypothesis
    import hypothesis.strategies as st

    settings = hypothesis.settings(
        max_examples=_BATCH,
        deadline=None,
        database=None,
        phases=(hypothesis.Phase.generate,),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    words = st.lists(st.text(max_size=20), max_size=3).map(tuple)
    batch = 0
    while tried.progress.inputs < asked.count:

        @hypothesis.seed(asked.seed + batch)
        @settings
        @hypothesis.given(st.binary(min_size=16, max_size=160), words)
        def test(data: bytes, words: tuple[str, ...]) -> None:
            if tried.progress.inputs < asked.count:
                tried(data, words)

        test()
        batch += 1


def _by_atheris(tried: _Trying, asked: argparse.Namespace) -> None:
    import atheris

    def test(data: bytes) -> None:
        if tried.progress.inputs >= asked.count:
            os._exit(0)  # libFuzzer would report that as a crash of the reader
        tried(data)

    options = (
        f"-seed={asked.seed % 2**31 + 1}",
        *("-max_len=160", "-rss_limit_mb=0", "-len_control=0", "-verbosity=0"),
        # The parent ends what takes too long; at 0, atheris would after a second.
        "-timeout=3600",
        # What fails outside of the reader libFuzzer keeps: there, not in the working directory.
        f"-artifact_prefix={asked.out / asked.target[0]}/",
    )
    atheris.Setup([sys.argv[0], *options], test)
    atheris.Fuzz()


def _replay(name: str, path: Path) -> int:
    """Try the input of a finding again, and show what it does."""
    with _folder() as work:
        asked = argparse.Namespace(out=Path(work), work=Path(work), child="replay", count=1)
        tried = _Trying(name, asked)
        file = path.name.split("@", 1)[-1]
        accepted, fault = tried.judge(file, path.read_bytes())
    print(fault[1] if fault is not None else "accepted" if accepted else "refused in one message")
    return int(fault is not None)


def _signature(short: str, _: str = "") -> str:
    """Return a name of a kind of fault that a file can have."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", short).strip("-")[:90]
    return f"{plain}-{hashlib.sha256(short.encode()).hexdigest()[:6]}"


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, str, int]]:
    for frame, line in traceback.walk_tb(trace):
        yield frame.f_code.co_filename, frame.f_code.co_name, line


def _last_of_ours(trace: TracebackType | None) -> str:
    """Return the innermost place in atypia that an exception went through."""
    ours = [
        f"{Path(file).relative_to(ROOT / 'src' / 'atypia')} {function} {line}"
        for file, function, line in _frames(trace)
        if file.startswith(str(ROOT / "src"))
    ]
    return ours[-1] if ours else "outside"


def _write_finding(out: Path, short: str, file: str, data: bytes, text: str) -> None:
    signature = short if re.fullmatch(r"[\w-]+-[0-9a-f]{6}", short) else _signature(short)
    (out / f"{signature}.txt").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    (out / f"{signature}@{file or 'input'}").write_bytes(data)


def _commit() -> str:
    words = ["git", "log", "-1", "--format=%h", "--", "src", "recipes", "bundles"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add: Callable[..., object] = parser.add_argument
    add("--target", nargs="+", choices=targets.TARGETS, help="readers; all without it")
    add("--minutes", type=float, help="of the whole, in place of the counts of targets.py")
    add("--count", type=int, help="inputs for each target, in place of its own")
    add("--workers", type=int, default=2, help="readers fuzzed side by side")
    add("--seed", type=int, default=0, help="of the inputs")
    add("--out", type=Path, default=ROOT / "fuzz-findings", help="folder for findings")
    add("--summary", type=Path, default=SUMMARY, help="receives a line a target")
    add("--replay", type=Path, help="try the input of a finding again; give its --target")
    add("--child", help=argparse.SUPPRESS)
    add("--work", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
