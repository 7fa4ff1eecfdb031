"""What an operating system lacks is simulated: the call is taken away."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

import atypia
from atypia import platform

# Calls and modules that Windows, or macOS, does not have.
ONLY_THERE = (
    *("sched_getaffinity", "pthread_sigmask", "setitimer", "SIGALRM", "SIGKILL", "SIGHUP"),
    *("import resource", "import fcntl", "import pwd", "os.getuid", "os.fork", "os.setsid"),
    *("os.killpg", "os.mkfifo", "os.uname", "sys.platform"),
)


def test_no_other_module_uses_what_an_operating_system_lacks() -> None:
    package = Path(atypia.__file__).parent
    faults = [
        f"{path.relative_to(package)}: {name}"
        for path in package.rglob("*.py")
        if path.name != "platform.py"
        for name in ONLY_THERE
        if re.search(rf"\b{re.escape(name)}\b", path.read_text(encoding="utf-8"))
    ]
    assert not faults


def test_cores_are_those_of_this_process_or_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(os, "sched_getaffinity"):
        assert platform.count_usable_cores() == len(os.sched_getaffinity(0))
        monkeypatch.delattr(os, "sched_getaffinity")
    assert platform.count_usable_cores() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert platform.count_usable_cores() == 1


def test_peak_memory_is_unknown_where_nobody_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = platform.find_peak_memory_bytes()
    assert found is None or 10e6 < found < 1e12
    monkeypatch.setitem(sys.modules, "resource", None)
    assert platform.find_peak_memory_bytes() is None


def test_what_is_flushed_was_opened_for_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows does it: a handle that cannot write is refused."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(os.write(number, b"")))
    platform.flush_to_disk(path)
    assert flushed == [0] and path.read_bytes() == b"content"


def test_ctrl_c_waits_where_it_can_be_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(signal, "pthread_sigmask"):
        # A shell's background jobs ignore it.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt), platform.block_interrupts():
                signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # others have own masks
                inside = True
        finally:
            signal.signal(signal.SIGINT, before)
        assert inside
        monkeypatch.delattr(signal, "pthread_sigmask")
    with platform.block_interrupts():
        pass


def test_a_call_comes_again_where_there_is_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    if hasattr(signal, "setitimer"):
        before = signal.getsignal(signal.SIGALRM)
        assert platform.call_again(0.01, called.append)
        end = time.monotonic() + 10
        while not called and time.monotonic() < end:
            time.sleep(0.01)
        signal.signal(signal.SIGALRM, before)
        assert len(called) == 1
        monkeypatch.delattr(signal, "setitimer")
    assert not platform.call_again(0.01, called.append)
