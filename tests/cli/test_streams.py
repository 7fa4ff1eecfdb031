"""Whatever is printed, the console takes it: other encodings, closed and broken streams."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ("smile😀", "bad\udcff", "esc\x1b]0;title\x07", "red\x1b[31m", "turned\u202egnp", "–")
PRINT_ALL = """
import sys
from atypia.cli.streams import open_streams
open_streams()
from rich.console import Console
from rich.table import Table
table = Table("name")
for name in {names!r}:
    print(name)
    print(name, file=sys.stderr)
    table.add_row(name)
Console().print(table)
Console(stderr=True).print(table)
"""


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "cp1252", "utf-8"])
def test_a_character_that_a_console_lacks_is_spelt_out(encoding: str) -> None:
    done = _python(PRINT_ALL.format(names=NAMES), PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    for stream in (done.stdout, done.stderr):
        text = stream.decode(encoding)
        smile = "smile😀" if encoding == "utf-8" else "smile\\U0001f600"
        for written in (smile, "bad\\udcff", "esc\\x1b]0;title\\x07", "red\\x1b[31m"):
            assert written in text
        assert "turned\\u202egnp" in text
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
        assert ("–" if encoding in ("cp1252", "utf-8") else "-") in text.splitlines()


def _shell(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    atypia = f"'{sys.executable}' -m atypia"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", words.format(atypia=atypia)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


def test_a_reader_that_leaves_early_is_no_fault(tmp_path: Path) -> None:
    for words in ("{atypia} recipes show lite | head -1", "{atypia} bundle show | true"):
        done = _shell(words, tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), words
    # An error that is printed to a closed pipe keeps its exit code.
    done = _shell("{atypia} models show nothing 2>&1 | true", tmp_path)
    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_a_verb_works_with_closed_streams(closed: str, crop_folder: Path, tmp_path: Path) -> None:
    shutil.copy(crop_folder / "1.png", tmp_path / "a.png")
    (tmp_path / "figures.csv").write_text("figure_id,image,slide,mpp,label\na,a.png,s,0.25,1\n")
    done = _shell(f"{{atypia}} data import . --out gathered {closed}", tmp_path)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert (tmp_path / "gathered" / "figures.csv").is_file()


def test_a_file_does_not_take_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    code = (
        "import os; from atypia.cli.streams import open_streams; open_streams(); "
        "file = open('x.csv', 'w'); os.write(2, b'the message of a library'); os.write(1, b'too')"
    )
    assert _shell(f"'{sys.executable}' -c \"{code}\" <&- >&- 2>&-", tmp_path).returncode == 0
    assert (tmp_path / "x.csv").read_text() == ""


def test_a_file_whose_name_is_no_utf8_is_classified_and_recorded(
    small_bundle: Path, crop_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "crops").mkdir()
    shutil.copy(crop_folder / "1.png", tmp_path / "crops" / "bad\udcff.png")
    predict = f"PYTHONIOENCODING=ascii {{atypia}} predict crops/bad* --bundle '{small_bundle}'"
    done = _shell(f"{predict} --out p.csv", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "bad\\udcff.png" in (tmp_path / "p.csv").read_text(encoding="utf-8")


def test_a_name_that_no_table_can_hold_is_one_line(crop_folder: Path, tmp_path: Path) -> None:
    for name in ("atypical/1.png", "normal/2.png", "normal/bad\udcff.png"):
        (tmp_path / "lab" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(crop_folder / "1.png", tmp_path / "lab" / name)
    done = _shell("{atypia} data check lab", tmp_path)
    assert done.returncode in (1, 2)
    assert "bad\\udcff.png" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_home_that_cannot_be_written_is_not_spoken_of(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("figure_id,image,slide,label\na,a.png,s,1\nb,b.png,t,0\n")
    (tmp_path / "p.csv").write_text("figure_id,p_atypical,call\na,0.9,atypical\nb,0.1,normal\n")
    done = _shell("HOME=/dev/null MPLCONFIGDIR= {atypia} evaluate p.csv --table t.csv", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
