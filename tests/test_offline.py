"""Nothing but `fetch` goes online, and nothing is written outside the folders the user gave.

The verbs run in processes with a home, a temporary folder and a folder to write into, without a
network. What these connect to and write is recorded: by strace, and where that is not to be had by
Python's audit events, which do not see what compiled code does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import tifffile
from typer.main import get_command

from atypia.challenges.midog25.stack import STACK_SLUG
from atypia.cli.main import app
from atypia.data.phantom import make_phantom
from atypia.inference.options import RuntimeKey
from programs import require_program

CHANGES = [
    *("folds.count=2", "backbone.input_px=32", "phase.weight=0", "schedule.batch_size=24"),
    *("schedule.epochs=1", "schedule.min_steps=1"),
]
SETS = " ".join(f"--set {change}" for change in CHANGES)
PREDICT = "predict crops --mpp 0.25 --bundle {1} --runtime {0} --out out/{0}.csv"
# What is typed for each verb, beside the inputs and the folder `out`, and the exit code. They run
# in this order, in one process.
ROWS: dict[str, dict[str, int]] = {
    "bundle export": {"bundle export out/small": 0},
    "predict": {PREDICT.format(key, "out/small"): 0 for key in ("onnx", "openvino", "torch")},
    "slide": {"slide s.tif --points s.geojson --bundle out/small --out out/s.geojson": 0},
    "slides": {"slides slides.csv --bundle out/small --out out/slides": 0},
    "challenge midog25-t2": {
        "challenge midog25-t2 --input case --output out/case --bundle out/small": 0
    },
    "data points": {
        "data points s.tif --points out/s.geojson --reviewed all --out out/labels "
        "--labels Refer=normal": 0
    },
    "data phantom": {"data phantom out/phantom --figures 12 --size 64": 0},
    "data import": {"data import cohort --out out/imported": 0},
    "data check": {"data check cohort": 0},
    "data describe": {"data describe cohort": 0},
    "recipes list": {"recipes list": 0},
    "recipes show": {"recipes show lite": 0},
    "models list": {"models list": 0},
    "models show": {"models show virchow2": 0},
    "models fetch": {"models fetch lite": 2},  # it comes with atypia
    "train": {
        "train cohort --recipe h-optimus-0 --out out/nothing": 2,  # its weights are not here
        f"train cohort --recipe lite --out out/run --device cpu {SETS}": 0,
    },
    "ablate": {"ablate cohort --plan plan.toml --out out/ablation --device cpu": 0},
    "evaluate": {"evaluate --table cohort --bundle out/small --out out/report.html": 0},
    "demo": {"demo out/demo": 0},
    "bundle show": {"bundle show out/small": 0},
    "bundle verify": {"bundle verify out/small": 0},
    "doctor": {"doctor": 0},
    "serve": {  # it would wait for requests; tests/apps/serve/test_server.py sends some
        "serve --bundle small --root nothing": 2,
    },
    "vote new": {"vote new cohort --experts anna --rule all --out out/study": 0},
    "vote page": {"vote page out/study --expert anna --out out/anna.html": 0},
    "vote collect": {"vote collect out/study nothing.json": 1},
    "vote serve": {"vote serve out/study --renew nobody": 2},  # it would wait for experts
    "vote close": {"vote close out/study --now": 0},
    "vote agree": {"vote agree out/study": 0},
    "vote export": {"vote export out/study --out out/voted/figures.csv": 0},
}
ON_RAY = "slides slides.csv --bundle small --out out/on-ray --engine ray --threads 1"

# Runs one command after another, as the command line does each; prints their exit codes last.
RUN = """
import contextlib, json, os, shlex, sys, time
from atypia.cli.main import run
changes, commands, codes = json.loads(sys.argv[1]), sys.argv[2:], []
for command in commands:
    if command.startswith("demo"):
        from atypia.training.recipe_file import read_recipe
        from atypia.workflows import demo
        demo.FIGURES, demo.demo_recipe = 24, lambda: read_recipe("lite", changes)
    if command.startswith("models fetch"):
        time.sleep = lambda seconds: None  # between tries
    with contextlib.suppress(OSError):
        os.chdir("/now: " + command.replace("/", " "))  # for the record of what is done
    sys.argv = ["atypia", *shlex.split(command)]
    try:
        run()
        codes.append(0)
    except SystemExit as end:
        codes.append(end.code or 0)
print(json.dumps(codes))
"""
# What atypia does to libraries in a program of the user's, without the command.
OWN = """
import atypia, onnx, onnxruntime, openvino
from huggingface_hub import utils
node = onnx.helper.make_node("Relu", ["a"], ["b"])
a, b = (onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "ab")
opset = onnx.helper.make_opsetid("", 17)
graph = onnx.helper.make_graph([node], "relu", [a], [b])
model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
openvino.Core().compile_model(openvino.Core().read_model(model), "CPU")
utils.build_hf_headers()
print([])
"""
# Loopback is there in a network of one's own, but down; Ray needs it.
ALONE = """
import fcntl, os, socket, struct, sys
with socket.socket() as one:
    fcntl.ioctl(one, 0x8914, struct.pack("16sH22x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
os.execvp(sys.argv[1], sys.argv[1:])
"""
# What strace writes down, as far as Python tells; connections are refused.
RECORD = """
import os, socket, sys
file = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.set_inheritable(file, True)
def note(*words):
    os.write(file, ("\\t".join(map(str, words)) + "\\n").encode())
def away(address):
    host = address[0] if isinstance(address, tuple) else "127.0.0.1"
    return str(host) not in ("localhost", "::1", "None", "") and not str(host).startswith("127.")
def hook(event, given):
    hosts = {
        "socket.getaddrinfo": given[:1], "socket.gethostbyname": given[:1],
        "socket.connect": given[1:2], "socket.sendto": given[1:2],
    }
    if event == "os.chdir":
        note("now", given[0])
    elif event in hosts:
        address = hosts[event][0]
        if away(address if "getaddr" not in event and "byname" not in event else (address,)):
            note("net", event, address)
            raise OSError(101, "Network is unreachable")
    elif event == "open" and isinstance(given[0], (str, bytes)) and given[2] & (
        os.O_WRONLY | os.O_RDWR | os.O_CREAT
    ):
        note("write", os.path.abspath(os.fsdecode(given[0])))
    elif event in ("os.mkdir", "os.rename", "os.link", "os.symlink"):
        note("write", os.path.abspath(os.fsdecode(given[0 if event == "os.mkdir" else 1])))
sys.addaudithook(hook)
"""
CALLS = (
    "connect,sendto,sendmsg,sendmmsg,chdir,open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,"
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat"
)
STRACE = [
    "strace",
    "-ff",
    "-y",
    "-qq",
    "-ttt",
    "-s",
    "300",
    "--seccomp-bpf",
    "-e",
    f"trace={CALLS}",
]


def _runs(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0


NO_NETWORK = ["unshare", "--net", sys.executable, "-c", ALONE]
NO_NETWORK = NO_NETWORK if _runs(*NO_NETWORK) else []
with tempfile.TemporaryDirectory() as _folder:
    HAS_STRACE = _runs(*STRACE, "-o", f"{_folder}/record")


@dataclass(frozen=True)
class Ran:
    """What came of commands.

    Attributes:
        codes: their exit codes.
        stderr: all that they wrote there.
        lookups: connections, or names asked for, beyond this machine.
        writes: paths written outside the folders given.
        left: files and folders left in the home and the temporary folder.
    """

    codes: list[int]
    stderr: str
    lookups: list[str]
    writes: list[str]
    left: list[Path]


@dataclass(frozen=True)
class Place:
    """Inputs, and a folder `out` to write into; sockets of Ray want a short path."""

    root: Path

    def run(self, *commands: str, home: str | None = "", code: str = RUN, **more: str) -> Ran:
        """Run commands; the home is an empty folder, or a path that is given, or unset."""
        for name in ("home", "tmp", "record"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            (self.root / name).mkdir()
        record = self.root / "record" / "of"
        kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
        given = {name: os.environ[name] for name in kept if name in os.environ}
        given |= {"TMPDIR": str(self.root / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
        given |= {"OMP_NUM_THREADS": "1", "RAY_DISABLE_MEMORY_MONITOR": "1", **more}
        if home is not None:
            given["HOME"] = home or str(self.root / "home")
        if os.environ.get("CI") == "true":
            require_program("strace")  # elsewhere Python's events do
        tracer = [*STRACE, "-o", str(record)]
        if not HAS_STRACE:
            tracer = []
            (self.root / "record" / "sitecustomize.py").write_text(RECORD)
            paths = [str(self.root / "record"), *filter(None, [given.get("PYTHONPATH")])]
            given |= {"RECORD": str(record), "PYTHONPATH": os.pathsep.join(paths)}
        python = [sys.executable, "-c", code, json.dumps(CHANGES), *commands]
        done = subprocess.run(
            [*NO_NETWORK, *tracer, *python],
            cwd=self.root,
            env=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        lookups, writes = self._read_strace() if HAS_STRACE else self._read_audit(record)
        left = [*(self.root / "home").rglob("*"), *(self.root / "tmp").rglob("*")]
        return Ran(json.loads(done.stdout.splitlines()[-1]), done.stderr, lookups, writes, left)

    def _read_audit(self, record: Path) -> tuple[list[str], list[str]]:
        now, found = "", {"net": list[str](), "write": list[str]()}
        for line in record.read_text().splitlines():
            kind, *words = line.split("\t")
            if kind == "now":
                now = words[0] if words[0].startswith("/now: ") else now
            elif kind == "net" or not self._may_write(words[0]):
                found[kind].append(f"{now}: {' '.join(words)}")
        return found["net"], found["write"]

    def _read_strace(self) -> tuple[list[str], list[str]]:
        files = (self.root / "record").glob("of.*")
        lines = "".join(file.read_text(errors="replace") for file in files).splitlines()
        lines = [line for line in lines if re.match(r"[\d.]+ \w+\(", line)]  # no signals, no ends
        now, lookups, writes = "", [], []
        for line in sorted(lines, key=lambda line: float(line.split(maxsplit=1)[0])):
            call = line.split(maxsplit=1)[1]
            if call.startswith("chdir("):
                now = call.split('"')[1] if "/now: " in call else now
            elif call.startswith(("connect(", "send")):
                if _leaves(call):
                    lookups.append(f"{now}: {call}")
            elif " = -1 " not in call and not self._may_write(path := self._written(call)):
                writes.append(f"{now}: {path}")
        return lookups, writes

    def _written(self, call: str) -> str:
        """Return the path that a call of the file system wrote; "" where it only read."""
        if call.startswith("open"):
            opened = re.search(r"= \d+<(.*)>$", call)
            return opened[1] if opened and re.search(r"O_WRONLY|O_RDWR|O_CREAT", call) else ""
        # The last folder and path of the call: `mkdirat(AT_FDCWD</folder>, "path", 0777)`.
        folders, paths = re.findall(r"<([^>]*)>, ", call), re.findall(r'"([^"]*)"', call)
        return os.path.normpath(os.path.join(self.root, *folders[-1:], paths[-1]))  # noqa: PTH118

    def _may_write(self, path: str) -> bool:
        allowed = [f"{self.root / name}/" for name in ("out", "tmp", "record")]
        return not path or f"{path}/".startswith((*allowed, "/dev/", "/proc/", "/memfd:"))


def _leaves(call: str) -> bool:
    """Whether a connection, or what is sent, goes beyond this machine."""
    if "systemd/resolve" in call:
        return True
    hosts = re.findall(r'(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]*)"', call)
    return any(not re.match(r"(::ffff:)?127\.|::1$", host) for host in hosts)


@pytest.fixture(scope="module")
def place(
    small_bundle: Path, crop_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="o") as folder:
        root = Path(folder).resolve()
        shutil.copytree(small_bundle, root / "small")
        shutil.copytree(small_bundle, root / "out" / "small")
        shutil.copytree(crop_folder, root / "crops")
        make_phantom(root / "cohort", figures=72, domains=3, slides_per_domain=4, size_px=64)
        plan = [f'set = {json.dumps(CHANGES)}\nname = "tiny"\nseeds = [0]']
        plan.append('[[arm]]\nname = "plain"\nrecipe = "lite"\n')
        (root / "plan.toml").write_text("\n".join(plan))
        rng = np.random.default_rng(0)
        pages = rng.integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
        per_cm = {"resolution": (4e4, 4e4), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(root / "s.tif", pages[0], tile=(64, 64), photometric="rgb", **per_cm)
        point = {"type": "Point", "coordinates": [64.0, 64.0]}
        feature = {"type": "Feature", "geometry": point, "properties": {}}
        (root / "s.geojson").write_text(json.dumps([feature]))
        (root / "slides.csv").write_text("slide,points\ns.tif,s.geojson\n")
        stack = root / "case" / "images" / STACK_SLUG / "stack.tif"
        stack.parent.mkdir(parents=True)
        with tifffile.TiffWriter(stack) as file:
            for page in pages:
                file.write(page, photometric="rgb")
        (root / "case" / "inputs.json").write_text(f'[{{"interface": {{"slug": "{STACK_SLUG}"}}}}]')
        yield Place(root)


def test_every_verb_and_runtime_has_a_row() -> None:
    verbs = [
        f"{name} {inner}".strip()
        for name, command in get_command(app).commands.items()  # type: ignore[attr-defined]
        for inner in getattr(command, "commands", {"": None})
    ]
    assert sorted(ROWS) == sorted(verbs)
    runtimes = {command.split("--runtime ")[1].split()[0] for command in ROWS["predict"]}
    assert runtimes == set(get_args(RuntimeKey)) - {"auto"}


def test_no_verb_goes_online_or_writes_outside_the_folders_given(place: Place) -> None:
    commands = {command: code for rows in ROWS.values() for command, code in rows.items()}
    if find_spec("ray") is not None:
        commands[ON_RAY] = 0  # a Ray of its own stays on this machine, and leaves nothing
    ran = place.run(*commands)
    assert dict(zip(commands, ran.codes, strict=True)) == commands, ran.stderr
    assert ran.lookups == []
    assert ran.writes == []
    assert ran.left == []


def test_fetch_alone_goes_online_and_only_to_the_hub(place: Place) -> None:
    command = "models fetch phikon-v2 --out out/weights"
    ran = place.run(command, HF_ENDPOINT="http://192.0.2.1:9")
    assert ran.codes == [2]
    assert "huggingface.co cannot be reached" in ran.stderr
    assert ran.lookups  # what records them does see them
    assert all("192.0.2.1" in lookup for lookup in ran.lookups)
    assert (ran.writes, ran.left) == ([], [])
    ran = place.run(command, HF_ENDPOINT="http://192.0.2.1:9", HF_HUB_OFFLINE="1")
    assert ran.codes == [2]
    assert "HF_HUB_OFFLINE is set" in ran.stderr
    assert (ran.lookups, ran.writes, ran.left) == ([], [], [])


@pytest.mark.parametrize(
    "home",
    [
        pytest.param(None, id="unset"),
        pytest.param("/dev/null/home", id="cannot-be-made", marks=pytest.mark.slow),
    ],
)
def test_without_a_home_nothing_is_missed(place: Place, home: str | None) -> None:
    ran = place.run(
        "evaluate --table cohort --bundle small --out out/homeless.html",
        "slides slides.csv --bundle small --out out/homeless",
        "models list",
        home=home,
    )
    assert ran.codes == [0, 0, 0], ran.stderr
    assert [line for line in ran.stderr.splitlines() if " of " not in line] == []
    assert (ran.lookups, ran.writes, ran.left) == ([], [], [])


def test_in_a_users_own_process_libraries_report_nothing(place: Place) -> None:
    ran = place.run(code=OWN)
    assert (ran.lookups, ran.writes, ran.left) == ([], [], [])
