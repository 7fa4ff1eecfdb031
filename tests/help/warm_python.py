"""Processes of Python that need not import torch again: each is forked from one that has.

A start of atypia takes seconds of imports, and a test of a process (what it prints, how it ends,
what a kill leaves) seldom tests these. Here `python` is a process of its own all the same, with its
own arguments, environment, folder, streams, signals and end, and so are the workers that it starts
by multiprocessing. What it has not is a first import: tests of what happens there (a home that is
missing, the network) start the interpreter itself.

Run as a program this is the server (`serve`), or the client that stands for `python` in a shell.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import json
import os
import runpy
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, TextIO

IMPORTS = (
    "atypia.cli.main",
    "atypia.workflows.train",
    "atypia.workflows.slides",
    "atypia.workflows.predict",
    "atypia.workflows.evaluate",
)
_MOST_FILES = 64
_OUT_OF_THE_WAY = 200  # no number that a process gives a file


class Process:
    """A running process; the calls are those of `subprocess.Popen`, as far as tests need them."""

    def __init__(self, connection: socket.socket, stdout: TextIO | None = None) -> None:
        self._connection = connection
        self.stdout = stdout
        self.pid = _received_number(connection)
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, or the negative number of the signal that ended the process."""
        if self.returncode is None:
            self._connection.settimeout(timeout)
            self.returncode = _received_number(self._connection)
            self._connection.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code; None while the process runs."""
        with contextlib.suppress(TimeoutError, BlockingIOError):
            self.wait(timeout=0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class WarmPython:
    """A server of warm processes, and `folder` with a program `python` that asks it for one."""

    def __init__(self, folder: Path) -> None:
        self._socket = str(folder / "socket")
        self._server = subprocess.Popen(
            [sys.executable, __file__, "serve", self._socket, *IMPORTS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == b"ready\n"
        self.folder = folder / "bin"
        self.folder.mkdir()
        client = shlex.join([sys.executable, "-I", "-S", __file__, "client", self._socket])
        write_program(self.folder / "python", f'exec {client} "$@"')

    def close(self) -> None:
        self._server.communicate()  # it ends with its standard input

    def start(
        self,
        *arguments: str | Path,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        stdout: int = 1,
        stderr: int = 2,
        start_new_session: bool = False,
    ) -> Process:
        """Start `python ARGUMENTS`; it is killed when nobody can wait for it any more.

        Args:
            arguments: what stands behind `python`.
            env: its environment; None: this one's.
            cwd: its folder; None: this one's.
            stdout: number of an open file, or subprocess.PIPE.
            stderr: number of an open file.
            start_new_session: it leads a group of processes.
        """
        given = {
            "arguments": [str(argument) for argument in arguments],
            "environment": dict(os.environ if env is None else env),
            "folder": str(cwd or Path.cwd()),
            "session": start_new_session,
            "files": [0, 1, 2],
        }
        lines = None
        with contextlib.ExitStack() as files:
            nothing = files.enter_context(open(os.devnull))  # noqa: PTH123
            if stdout == subprocess.PIPE:
                reading, stdout = os.pipe()
                lines = open(reading)  # noqa: PTH123, SIM115
                files.callback(os.close, stdout)
            asked = _asked(self._socket, given, [nothing.fileno(), stdout, stderr])
        return Process(asked, lines)

    def run(self, *arguments: str | Path, **given: Any) -> subprocess.CompletedProcess[str]:
        """Run `python ARGUMENTS` to its end; what it prints is in the answer."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            process = self.start(*arguments, stdout=out.fileno(), stderr=err.fileno(), **given)
            code = process.wait()
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(arguments, code, out.read(), err.read())


def write_program(path: Path, text: str) -> None:
    """Write a program of the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def _asked(path: str, given: dict[str, Any], files: Sequence[int]) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    text = json.dumps(given).encode()
    socket.send_fds(connection, [struct.pack("<q", len(text))], list(files))
    connection.sendall(text)
    return connection


def _received_number(connection: socket.socket) -> int:
    return struct.unpack("<q", connection.recv(8, socket.MSG_WAITALL))[0]


def serve(path: str, imports: Sequence[str]) -> Callable[[], None]:
    """Fork a process for each that asks, until standard input ends.

    Returns only in these processes, with what each is to do.
    """
    import importlib
    import multiprocessing

    for name in imports:
        importlib.import_module(name)
    # The export at the end of a training takes longer than those of the tests.
    sys.modules["atypia.workflows.train"].__dict__["export_run_bundle"] = lambda *_: None
    multiprocessing.set_executable(str(Path(path).parent / "bin" / "python"))
    gc.collect()
    gc.freeze()  # it would copy all that the processes share
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    os.write(1, b"ready\n")
    while True:
        ready, _, _ = select.select([listener, 0], [], [], 0.2)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if 0 in ready:
            os._exit(0)
        if not ready:
            continue
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _forked(connection)
        connection.close()


def _forked(connection: socket.socket) -> Callable[[], None]:
    """Fork once more: this process reports the number and the end of the one that it returns in."""
    header, files, _, _ = socket.recv_fds(connection, 8, _MOST_FILES)
    text = connection.recv(struct.unpack("<q", header)[0], socket.MSG_WAITALL)
    given = json.loads(text)
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(given, files)
        return lambda: _run(given["arguments"])
    for file in (0, 1, 2, *files):
        os.close(file)
    connection.sendall(struct.pack("<q", pid))
    ended = os.pidfd_open(pid)
    if ended not in select.select([ended, connection], [], [])[0]:
        os.kill(pid, signal.SIGKILL)  # nobody waits for it any more
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(struct.pack("<q", code))
    os._exit(0)


def _become(given: dict[str, Any], files: list[int]) -> None:
    """Take over the folder, the environment and the open files that were asked for."""
    if given["session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    copies = [fcntl.fcntl(file, fcntl.F_DUPFD, _OUT_OF_THE_WAY) for file in files]
    for file in files:
        os.close(file)
    for number, copy in zip(given["files"], copies, strict=True):
        os.dup2(copy, number)
        os.close(copy)
    os.chdir(given["folder"])
    os.environ.clear()
    os.environ.update(given["environment"])
    tempfile.tempdir = None  # TMPDIR may be another
    sys.stdin = sys.__stdin__ = open(0)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    sys.__stderr__ = sys.stderr


def _run(arguments: list[str]) -> None:
    """Do what `python ARGUMENTS` does: -c CODE, -m MODULE, or a script."""
    while arguments[0][:1] == "-" and arguments[0] not in ("-c", "-m"):
        arguments = arguments[1:]  # a flag of this interpreter, which multiprocessing hands on
    kind, *rest = arguments
    sys.modules["__main__"] = ModuleType("__main__")
    if kind == "-c":
        code, *words = rest
        sys.argv, sys.path[0] = ["-c", *words], ""
        exec(compile(code, "<string>", "exec"), sys.modules["__main__"].__dict__)
    elif kind == "-m":
        name, *words = rest
        sys.argv, sys.path[0] = [name, *words], str(Path.cwd())
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = arguments, str(Path(kind).resolve().parent)
        runpy.run_path(kind, run_name="__main__")


def _end(work: Callable[[], None]) -> NoReturn:
    """Work, and end as Python does, but without freeing a memory full of modules."""
    code: Any = 0
    try:
        work()
    except SystemExit as end:
        code = end.code
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code or 0)


def _stand_in(path: str, arguments: list[str]) -> int:
    """Ask for a process with the open files of this one; return its exit code."""
    numbers = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    files = [number for number in numbers if _is_open(number)]  # not the one that listed them
    given = {
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "session": False,
        "files": files,
    }
    process = Process(_asked(path, given, files))

    def hand_on(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended just now
            os.kill(process.pid, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hand_on)
    code = process.wait()
    return code if code >= 0 else 128 - code


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _end(serve(sys.argv[2], sys.argv[3:]))
    else:
        sys.exit(_stand_in(sys.argv[2], sys.argv[3:]))
