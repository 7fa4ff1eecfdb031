"""A server in this process, and one that is a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from atypia.apps.serve.app import make_app
from atypia.inference.predictor import Predictor

ADDRESS = "http://127.0.0.1:8807"
HOSTS = ("127.0.0.1:8807", "localhost:8807")


@pytest.fixture(scope="session")
def predictor(small_export: Path) -> Predictor:
    return Predictor.load(small_export.parents[1], runtime="onnx", threads=2)


@pytest.fixture(scope="session")
def paths(crop_folder: Path) -> list[Path]:
    """The crops' files in the order of their numbers."""
    return sorted(crop_folder.iterdir(), key=lambda path: int(path.stem))


@pytest.fixture
def client(predictor: Predictor) -> Iterator[TestClient]:
    with TestClient(make_app(predictor, HOSTS), base_url=ADDRESS) as client:
        yield client


class Process:
    """`atypia serve`."""

    def __init__(self, bundle: Path, *more: str | Path, before: Sequence[str] = ()) -> None:
        words = ["serve", "--bundle", bundle, "--runtime", "onnx", "--port", "0", *more]
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "atypia", *map(str, words)],
            start_new_session=True,  # so that a program before it dies with it
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()
        self.address = self.process.stdout.readline().strip()

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def stop(self) -> tuple[int, str]:
        """Send SIGTERM, and return exit code and what was said."""
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said


@pytest.fixture
def serve(small_export: Path) -> Iterator[Callable[..., Process]]:
    processes: list[Process] = []

    def start(*more: str | Path, before: Sequence[str] = ()) -> Process:
        processes.append(Process(small_export.parents[1], *more, before=before))
        return processes[-1]

    yield start
    for one in processes:
        one.kill()
