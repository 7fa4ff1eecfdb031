"""The challenge's program, run as its container runs it: another user, no network, read-only input.

No container engine is needed: the entry point itself is started in a tree like the container's.
Where this process may not become another user (it is not root), or that one cannot read atypia (it
lies in the home of root), the program runs as this user; where the network cannot be cut off, every
connection is refused inside it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from atypia.bundle import default
from atypia.bundle.verify import bundle_hash
from atypia.challenges.midog25 import program
from atypia.challenges.midog25.answers import ANSWERS_NAME
from atypia.challenges.midog25.program import answer_stack
from atypia.challenges.midog25.stack import STACK_SLUG
from atypia.errors import AtypiaError
from atypia.files import NOTES_FOLDER, sha256
from atypia.inference.exported import exported_path
from atypia.inference.predictor import Predictor
from stacks import write_stack

NOBODY = ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
REFUSE = """
import socket
def refuse(*_):
    raise OSError("Network is unreachable")
socket.socket.connect = socket.socket.connect_ex = refuse
"""


def _runs(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0


AS_NOBODY = ["setpriv", *NOBODY]
AS_NOBODY = AS_NOBODY if _runs(*AS_NOBODY, sys.executable, "-c", "import atypia") else []
NO_NETWORK = ["unshare", "--net"] if _runs("unshare", "--net") else []


def _pages(count: int) -> np.ndarray:
    """Pages of blots, no two alike: uint8 (count, 128, 128, 3)."""
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (5, 5, 3), dtype=np.uint8) for _ in range(count)]
    fine = [Image.fromarray(one).resize((128, 128), Image.Resampling.BICUBIC) for one in coarse]
    return np.stack([np.asarray(one) for one in fine])


PAGES = _pages(16)


def _calibrated(bundle: Path, folder: Path, **facts: float) -> Path:
    """Return a copy of a bundle with some facts of its calibration changed."""
    shutil.copytree(bundle, folder)
    path = folder / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    names = [line.split(maxsplit=1)[1] for line in (folder / "sha256sums").read_text().splitlines()]
    sums = [f"{sha256(folder / name)}  {name}\n" for name in names]
    (folder / "sha256sums").write_text("".join(sums))
    return folder


@dataclass(frozen=True)
class Container:
    """A tree like the container's, in a place that other users can reach."""

    root: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run Python in it."""
        given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        paths = [str(Path(path).resolve()) for path in given if path]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(self.root / "site"), *paths]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HF_HUB_OFFLINE": "1",
            "HOME": str(self.root / "tmp"),
            "TMPDIR": str(self.root / "tmp"),
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.run(
            [*NO_NETWORK, *AS_NOBODY, sys.executable, *command],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def answer(self, *program: str) -> subprocess.CompletedProcess[str]:
        """Run the challenge's entry point, as a module or by the program given."""
        places = ("--input", "input", "--output", "output", "--bundle", "opt/ml/model")
        return self.run(*(program or ("-m", "atypia")), "challenge", "midog25-t2", *places)

    def answers(self) -> list[dict[str, object]]:
        """Read what it wrote."""
        found: list[dict[str, object]] = json.loads(
            (self.root / "output" / ANSWERS_NAME).read_text()
        )
        return found


@pytest.fixture
def container(small_bundle: Path) -> Iterator[Container]:
    root = Path(tempfile.mkdtemp(prefix="container-"))  # pytest's own folders are closed to others
    try:
        shutil.copytree(small_bundle, root / "opt" / "ml" / "model")
        (root / "site").mkdir()
        if not NO_NETWORK:
            (root / "site" / "sitecustomize.py").write_text(REFUSE)
        write_stack(root / "input", list(PAGES))
        for path in (root, *root.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        root.chmod(0o755)
        for name in ("output", "tmp"):
            (root / name).mkdir()
            (root / name).chmod(0o777)
        root.chmod(0o555)
        yield Container(root)
    finally:
        for path in (root, *(one for one in root.rglob("*") if one.is_dir())):
            path.chmod(0o755)
        shutil.rmtree(root)


def test_the_entry_point_answers_without_rights_or_network(container: Container) -> None:
    probe = container.run(
        "-c", "import socket; socket.create_connection(('192.0.2.1', 443), timeout=5)"
    )
    assert "Network is unreachable" in probe.stderr
    if AS_NOBODY:
        probe = container.run("-c", "import os; print(os.getuid()); open('input/a', 'w')")
        assert probe.stdout == "65534\n"
        assert "Permission denied" in probe.stderr

    done = container.answer()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answers = container.answers()
    assert len(answers) == 16
    assert all(list(answer) == ["class", "confidence"] for answer in answers)
    written = {path.name for path in (container.root / "output").iterdir()}
    assert written == {ANSWERS_NAME, NOTES_FOLDER}


def test_confidence_is_p_atypical_whatever_the_class(small_bundle: Path, tmp_path: Path) -> None:
    folder = write_stack(tmp_path / "input", list(PAGES))
    bundle = _calibrated(small_bundle, tmp_path / "bundle", temperature=0.1, bias=0.0)
    done = answer_stack(folder, tmp_path, bundle=bundle)
    expected = Predictor.load(bundle).predict(list(PAGES), mpp=0.25)
    answers = json.loads(done.path.read_text())
    assert [answer["class"] for answer in answers] == list(expected["call"])
    confidence = [answer["confidence"] for answer in answers]
    np.testing.assert_allclose(confidence, expected["p_atypical"], atol=0.02)
    # Both classes are there, and what is surely normal has a low confidence, not a high one.
    assert {answer["class"] for answer in answers} == {"normal", "atypical"}
    normal = [answer["confidence"] for answer in answers if answer["class"] == "normal"]
    atypical = [answer["confidence"] for answer in answers if answer["class"] == "atypical"]
    assert min(normal) < 0.3
    assert max(normal) < min(atypical)
    assert (done.pages, done.atypical, done.unread) == (16, len(atypical), 0)


def test_mpp_is_the_challenges_unless_said(small_bundle: Path, tmp_path: Path) -> None:
    folder = write_stack(tmp_path / "input", list(PAGES[:4]))
    texts = []
    for name, more in (("a", {}), ("b", {"mpp": 0.25}), ("c", {"mpp": 0.4})):
        done = answer_stack(folder, tmp_path / name, bundle=small_bundle, **more)
        texts.append(done.path.read_text())
    assert texts[0] == texts[1] != texts[2]
    with pytest.raises(AtypiaError, match="mpp 250"):
        answer_stack(folder, tmp_path / "d", bundle=small_bundle, mpp=250.0)


def test_an_exported_bundle_is_answered_without_what_is_slow_to_import(
    container: Container, small_bundle: Path, small_export: Path
) -> None:
    model = container.root / "opt" / "ml" / "model"
    model.parent.chmod(0o755)
    model.chmod(0o755)
    shutil.copytree(small_export.parent, exported_path(model).parent)
    slow = ("torch", "timm", "peft", "sklearn", "scipy.optimize", "pandera", "matplotlib")
    done = container.answer(
        "-c",
        "import sys\n"
        "sys.modules['openvino'] = None\n"  # the image holds onnxruntime alone
        "from atypia.cli.main import run\n"
        "try:\n    run()\n"
        f"finally:\n    print('imported:', *(set({slow}) & set(sys.modules)))",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "imported:"
    with_torch = Predictor.load(small_bundle, precision="fp32", runtime="torch")
    expected = with_torch.predict(list(PAGES), mpp=0.25)
    answers = container.answers()
    assert [answer["class"] for answer in answers] == list(expected["call"])
    confidence = [answer["confidence"] for answer in answers]
    np.testing.assert_allclose(confidence, expected["p_atypical"], atol=1e-3)


def test_a_bad_page_is_named_and_has_an_entry_in_its_place(
    container: Container, small_bundle: Path, tmp_path: Path
) -> None:
    answer_stack(container.root / "input", tmp_path, bundle=small_bundle)
    whole = json.loads((tmp_path / ANSWERS_NAME).read_text())
    stack = container.root / "input" / "images" / STACK_SLUG / "stack.tif"
    stack.chmod(0o644)
    with tifffile.TiffWriter(stack) as file:
        file.write(PAGES[0], photometric="rgb")
        file.write(PAGES[1][..., 0], photometric="minisblack")
        file.write(PAGES[2], photometric="rgb")
    done = container.answer()
    assert done.returncode == 1
    line = f"{Path('input') / 'images' / STACK_SLUG / 'stack.tif'}, page 2: greyscale"
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1
    first, second, third = container.answers()
    assert second == {"class": "normal", "confidence": 0.5}  # the bundle's operating point
    for found, expected in ((first, whole[0]), (third, whole[2])):
        assert found["class"] == expected["class"]
        assert found["confidence"] == pytest.approx(expected["confidence"], abs=0.02)


def test_an_unread_page_has_the_prevalence_of_training(
    small_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = _calibrated(small_bundle, tmp_path / "bundle", prevalence=0.15)
    folder = write_stack(tmp_path / "input", [PAGES[0], PAGES[1][:64]])
    done = answer_stack(folder, tmp_path, bundle=bundle)
    assert done.unread == len(caplog.messages) == 1
    assert json.loads(done.path.read_text())[1] == {"class": "normal", "confidence": 0.15}


def test_an_uploaded_bundle_goes_before_the_containers(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [str(folder) for folder in program.BUNDLE_FOLDERS] == [
        "/opt/ml/model",
        "/opt/atypia/bundle",
    ]
    uploaded, built_in = tmp_path / "model", tmp_path / "built-in"
    monkeypatch.setattr(program, "BUNDLE_FOLDERS", (uploaded, built_in))
    folder = write_stack(tmp_path / "input", [PAGES[0]])
    said: list[str] = []
    # Neither is there: the bundle that comes with atypia answers.
    with monkeypatch.context() as patched:
        patched.setattr(default, "default_bundle", lambda: said.append("default") or small_bundle)
        assert answer_stack(folder, tmp_path).pages == 1
    assert said == ["default"]
    shutil.copytree(small_bundle, built_in)
    uploaded.mkdir()  # the platform may make an empty folder
    assert answer_stack(folder, tmp_path).pages == 1
    shutil.copytree(small_bundle, uploaded, dirs_exist_ok=True)
    (built_in / "bundle.json").write_text("{}")  # would be refused, if it were taken
    assert answer_stack(folder, tmp_path).pages == 1
    assert bundle_hash(uploaded) == bundle_hash(small_bundle)


def test_a_mistake_is_one_line_and_writes_nothing(container: Container) -> None:
    root = container.root
    (root / "input").chmod(0o755)
    (root / "input" / "inputs.json").unlink()
    done = container.answer()
    assert done.returncode == 2
    assert done.stderr.startswith("input/inputs.json: there is no such file")
    assert len(done.stderr.splitlines()) == 1
    assert list((root / "output").iterdir()) == []
