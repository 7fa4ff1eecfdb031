"""Libraries that would report their use over the network, or keep files in the user's home.

Nothing but `atypia models fetch` goes online, and nothing is written outside the folders that the
user gave. Each of these libraries does otherwise by itself, unless its switch is set before it is
imported. What the user has set already stays.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from pathlib import Path

_SWITCHES = {
    # From 1.29 on: reports the models it runs, and keeps an id of the machine in ~/.cache.
    "ORT_DISABLE_TELEMETRY": "1",
    # From 2.0 on: asks the hub for a list before it names itself, also where it reads its cache.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
# Whether these are kept makes no difference to a command: it compiles nothing, and 100 fonts are
# read in 0.2 s.
_PREFIX = "atypia-caches-"
_CACHES = {"MPLCONFIGDIR": "matplotlib", "TORCHINDUCTOR_CACHE_DIR": "torch"}


def switch_off_reports() -> None:
    """Keep onnxruntime, OpenVINO, huggingface_hub and ray from reporting how they are used."""
    for name, value in _SWITCHES.items():
        os.environ.setdefault(name, value)
    # OpenVINO has no switch but a file in the user's home. It does without this package, through
    # which it reports to www.google-analytics.com and keeps an id in ~/intel.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def use_temporary_caches() -> None:
    """Give matplotlib and torch a folder for their caches that is gone when this process ends.

    For a process that is ours alone: in a user's own, their caches and settings are theirs. What
    processes that were killed left is removed.
    """
    missing = _CACHES.keys() - os.environ.keys()
    if not missing:
        return
    import shutil
    import tempfile

    from atypia.files import is_alive

    with suppress(OSError):  # nowhere to write: they do what they can
        for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
            if not is_alive(left.name.removeprefix(_PREFIX).partition("-")[0]):
                shutil.rmtree(left, ignore_errors=True)
        folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for name in missing:
            os.environ[name] = os.path.join(folder, _CACHES[name])  # noqa: PTH118
