"""A study of phantoms, and a server that runs as its own process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable

EXPERTS = ("anna", "ben", "eva")


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    return make_phantom(tmp_path_factory.mktemp("cohort"), figures=60, domains=2, size_px=96)


class Server:
    """`atypia vote serve`, that can be killed and started again."""

    def __init__(self, study: Path, before: Sequence[str] = ()) -> None:
        self._study, self._before, self._port = study, before, "0"
        self.links: dict[str, str] = {}
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "atypia", "vote", "serve", str(self._study)]
        self._process = subprocess.Popen(
            [*self._before, *command, "--port", self._port],
            start_new_session=True,  # so that a program before it dies with it
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, link = line.split()
            self.links[name] = link
            if name == "lead":  # the last one
                break
        self._port = self.links["lead"].split(":")[2].partition("/")[0]

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(study: Path, before: Sequence[str] = ()) -> Server:
        servers.append(Server(study, before))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path is not None:
            return path
    pytest.skip("no chromium on this machine")
