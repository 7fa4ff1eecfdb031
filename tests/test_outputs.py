"""No output costs a user a file: what atypia did not write is refused before any work."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from atypia.errors import AtypiaError
from atypia.files import (
    create_output,
    is_ours,
    remove_ours,
    remove_partials,
    remove_partials_below,
    require_outputs,
    sha256,
    write_output,
)
from atypia.offline import use_temporary_caches
from command import call


@pytest.fixture
def ended() -> str:
    """The number of a process that has ended."""
    program = "import os; print(os.getpid())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_what_atypia_wrote_is_replaced_and_what_changed_since_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_output(path, "first")
    require_outputs([path])
    write_output(path, "second")
    assert path.read_text() == "second"
    path.write_text("corrected by a pathologist")
    with pytest.raises(AtypiaError, match=r"a\.csv: was not written by atypia, or has changed"):
        require_outputs([path])
    with pytest.raises(AtypiaError, match="--overwrite"), create_output(path):
        pass
    remove_ours(path)
    assert path.read_text() == "corrected by a pathologist"


def test_overwrite_replaces_it_and_an_input_never(tmp_path: Path) -> None:
    path, other = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("mine")
    other.symlink_to(path)
    for given in (path, other):
        with pytest.raises(AtypiaError, match=r"a\.csv: is an input of this run"):
            require_outputs([path], inputs=[given], overwrite=True)
    require_outputs([path], overwrite=True)
    write_output(path, "new")
    assert path.read_text() == "new"


def test_all_faults_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")
    (tmp_path / "b.csv").mkdir()
    before = sorted(tmp_path.rglob("*"))
    twice = tmp_path / "c.csv"
    with pytest.raises(AtypiaError) as caught:
        require_outputs([tmp_path / "a.csv", tmp_path / "b.csv", twice, twice])
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert any("a.csv: was not written by atypia" in line for line in lines)
    assert any("b.csv: is a folder" in line for line in lines)
    assert any("c.csv: two results" in line for line in lines)
    assert sorted(tmp_path.rglob("*")) == before


def test_many_faults_are_a_handful_of_lines(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.csv" for number in range(500)]
    for path in paths:
        path.write_text("mine")
    with pytest.raises(AtypiaError) as caught:
        require_outputs(paths)
    assert len(str(caught.value).splitlines()) == 11
    assert "490 more" in str(caught.value)


def test_a_place_that_cannot_be_written_is_met_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AtypiaError, match=r"file: cannot be written") as caught:
        require_outputs([tmp_path / "file" / "p.csv"])
    assert "\n" not in str(caught.value)


def test_between_note_and_renaming_the_old_file_is_still_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    write_output(path, "old")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda one, to: killed() if to == path else replace(one, to)
    )
    with pytest.raises(KeyboardInterrupt):
        write_output(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old" and is_ours(path)
    write_output(path, "new")
    assert path.read_text() == "new"


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_stays(
    tmp_path: Path, ended: str
) -> None:
    dead, living = (tmp_path / f".a.csv.partial-{number}" for number in (ended, os.getppid()))
    other = tmp_path / f".b.csv.partial-{ended}"
    for path in (dead, living, other):
        path.write_text("half")
    note = tmp_path / ".atypia" / f".a.csv.sha256.partial-{ended}"
    note.parent.mkdir()
    note.write_text("half")
    remove_partials(tmp_path / "a.csv")
    assert not dead.exists() and not note.exists()
    assert living.exists() and other.exists()
    remove_partials_below(tmp_path)
    assert living.exists() and not other.exists()


def _hashes(folder: Path) -> dict[str, str]:
    return {str(path): sha256(path) for path in folder.rglob("*") if path.is_file()}


Command = Callable[[Path, Path, Path], list[object]]


@pytest.mark.parametrize(
    ("theirs", "command"),
    [
        ("p.csv", lambda w, crops, b: ["predict", crops, "--mpp", 0.25, "--out", w / "p.csv",
                                       "--bundle", b]),
        ("p.run.json", lambda w, crops, b: ["predict", crops, "--mpp", 0.25, "--out",
                                            w / "p.csv", "--bundle", b]),
        ("n.onnx", lambda w, crops, b: ["bundle", "export", b, "--out", w / "n.onnx"]),
        ("figures.csv", lambda w, crops, b: ["data", "phantom", w, "--figures", 3]),
        ("run/report.html", lambda w, crops, b: ["train", w / "ph/figures.csv", "--out",
                                                 w / "run"]),
        ("run/folds/0/metrics.jsonl", lambda w, crops, b: ["train", w / "ph/figures.csv",
                                                           "--out", w / "run"]),
        ("run/bundle/notes.txt", lambda w, crops, b: ["train", w / "ph/figures.csv", "--out",
                                                      w / "run"]),
        ("run/table.csv", lambda w, crops, b: ["ablate", w / "ph/figures.csv", "--plan",
                                               "components", "--out", w / "run"]),
    ],
)  # fmt: skip
def test_a_file_in_the_way_of_a_verb_is_refused_before_any_work(
    theirs: str,
    command: Command,
    small_bundle: Path,
    crop_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from atypia.data.phantom import make_phantom

    make_phantom(tmp_path / "ph", figures=24, domains=3, slides_per_domain=4, size_px=64)
    (tmp_path / theirs).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / theirs).write_text("mine")
    before = _hashes(tmp_path)
    words = command(tmp_path, crop_folder, small_bundle)
    assert call(monkeypatch, *words) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert (Path(theirs).parts[0] in line and "--" in line) or "new folder" in line
    assert _hashes(tmp_path) == before


def test_caches_of_a_killed_command_are_removed_by_the_next_and_those_of_a_living_one_stay(
    tmp_path: Path, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "theirs")
    dead, living = (tmp_path / f"atypia-caches-{number}-x" for number in (ended, os.getppid()))
    dead.mkdir()
    living.mkdir()
    use_temporary_caches()
    assert not dead.exists() and living.exists()
    assert Path(os.environ["MPLCONFIGDIR"]).parent.parent == tmp_path
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "theirs"
