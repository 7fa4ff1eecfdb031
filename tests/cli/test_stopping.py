from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SLOW = """
import os, time
print("importing", flush=True)
try:
    time.sleep(2)
except BaseException:
    os.abort()  # as C++ does that an exception must not pass
"""
PROGRAM = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from atypia.cli import main
def app():
    import slow
    time.sleep(60)
main.app = app
main.run()
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stop_during_an_import_waits_for_its_end(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    time.sleep(0.2)
    process.send_signal(number)
    _, message = process.communicate(timeout=30)
    assert process.returncode == code
    assert message.startswith("stopped; run the same command again")
