"""Run the QuPath script of examples/ with Debian's Groovy, on stand-ins of QuPath's classes.

They lie in tests/examples/qupath_stand_ins, and have those methods of QuPath's API that the script
calls, with their signatures.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from programs import require_program

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "qupath" / "classify_mitoses.groovy"
STAND_INS = ROOT / "tests" / "examples" / "qupath_stand_ins"
# A short life: compile little, collect with one thread.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Djava.awt.headless=true"


@dataclass(frozen=True)
class ScriptResult:
    """What a run of the script left.

    Attributes:
        lines: what it printed.
        asked: the texts of its dialogs.
        updates: how often it made QuPath draw its objects again.
        objects: by id, each with its class, colour (RGB), measurements and metadata.
    """

    lines: list[str]
    asked: list[str]
    updates: int
    objects: dict[str, Any]


class QuPath:
    """A process of Groovy that runs the script any number of times.

    Skips the test (in CI: fails) where there is no Groovy.
    """

    def __init__(self) -> None:
        environment = {**os.environ, "JAVA_HOME": _java_home(), "JAVA_OPTS": JAVA_OPTIONS}
        self._folder = tempfile.TemporaryDirectory(prefix="qupath")
        self._runs = 0
        self._process = subprocess.Popen(
            [require_program("groovy"), "-cp", STAND_INS, STAND_INS / "run_script.groovy"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> QuPath:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()
        self._folder.cleanup()

    def run(
        self,
        objects: Sequence[Mapping[str, Any]],
        image: Path | None,
        pixel_um: float | tuple[float | None, float | None],
        *,
        dialog: bool | None = True,
        rgb: bool = True,
        version: str = "0.6",
        **settings: str | int | bool,
    ) -> ScriptResult:
        """Run the script on an image that is open in QuPath.

        Args:
            objects: each with an id (UUID), kind ("annotation" or "detection"), roi (x, y, and
                optionally points, width, height, z), and optionally pathClass, name, locked,
                selected, measurements and metadata.
            image: a PNG file; none is open if it is None.
            pixel_um: of the image, or its width and height; None is unknown.
            dialog: what the user answers; None if there is no user interface.
            rgb: of the image.
            version: "0.5" or "0.6".
            settings: of the script, by their names at its top: server, token, className, ...
        """
        folder = Path(self._folder.name) / str(self._runs)
        self._runs += 1
        folder.mkdir()
        wide, high = pixel_um if isinstance(pixel_um, tuple) else (pixel_um, pixel_um)
        situation = {
            "image": image
            and {"file": str(image), "width_um": wide, "height_um": high, "rgb": rgb},
            "objects": objects,
            "dialog": dialog,
            "version": version,
        }
        (folder / "situation.json").write_text(json.dumps(situation))
        (folder / "script.groovy").write_text(_change_settings(SCRIPT.read_text(), settings))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n", "run_script.groovy has ended"
        result = json.loads((folder / "result.json").read_text())
        failure = result.pop("failure")
        assert failure is None, failure
        return ScriptResult(**result)


def _change_settings(script: str, settings: Mapping[str, str | int | bool]) -> str:
    """Change settings as a user does: in their lines at the top."""
    for name, value in settings.items():
        line = rf"(?m)^(def {name} = )(\"[^\"]*\"|\d+|true|false)"
        script, changed = re.subn(line, rf"\g<1>{json.dumps(value)}", script)
        assert changed == 1, name
    return script


def _java_home() -> str:
    """Return where Java lies; Debian's Groovy looks at one place only, which may not be there."""
    home = os.environ.get("JAVA_HOME", "")
    if home and (Path(home) / "bin" / "java").is_file():
        return home
    java = shutil.which("java")
    return str(Path(java).resolve().parents[1]) if java else ""
