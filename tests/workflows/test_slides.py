"""Many slides: what is done stays done after any kill, and a bad slide costs nobody else."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from filelock import FileLock
from typer.testing import CliRunner

from atypia.bundle.verify import bundle_hash
from atypia.cli.main import app
from atypia.data.slide_list import read_slide_list
from atypia.data.slides import open_slide
from atypia.errors import AtypiaError
from atypia.files import NOTES_FOLDER
from atypia.inference.options import PredictOptions
from atypia.workflows.slide import PointsChoice
from atypia.workflows.slides import SlidesResult, predict_slides
from small_bundles import copy_bundle
from warm_python import WarmPython

SIDE, POINTS = 128, 4


def _cohort(folder: Path, count: int, broken: tuple[int, ...]) -> Path:
    """Write small slides, each with four points, two slides a case; some are cut short."""
    rng = np.random.default_rng(0)
    lines = ["slide,points,case,area_mm2"]
    for number in range(count):
        slide = folder / f"s{number}.tif"
        coarse = rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
        pixels = coarse.repeat(8, axis=0).repeat(8, axis=1)
        resolution = {"resolution": (4e4, 4e4), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(slide, pixels, tile=(64, 64), photometric="rgb", **resolution)
        if number in broken:
            slide.write_bytes(slide.read_bytes()[:3000])
        features = [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [float(x), float(y)]},
                "properties": {"objectType": "annotation"},
            }
            for x, y in rng.integers(10, SIDE - 10, (POINTS, 2))
        ]
        (folder / f"s{number}.geojson").write_text(json.dumps(features))
        lines.append(f"s{number}.tif,s{number}.geojson,case{number // 2},0.5")
    path = folder / "slides.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def _do(
    path: Path, out: Path, bundle: Path, align_to: Path | None = None, **given: object
) -> SlidesResult:
    options = PredictOptions(bundle=bundle, precision="fp32", threads=1, align_to=align_to)
    return predict_slides(
        read_slide_list(path),
        out,
        options=options,
        choice=PointsChoice(),
        **given,  # type: ignore[arg-type]
    )


def _outputs(out: Path) -> dict[str, bytes]:
    """Return all that a user finds, but for the folders of states and of notes."""
    return {one.name: one.read_bytes() for one in out.iterdir() if one.is_file()}


def _words(path: Path, out: Path, bundle: Path, *more: str) -> list[str]:
    """Return what is typed behind `atypia`."""
    return [
        *("slides", str(path), "--out", str(out)),
        *("--bundle", str(bundle), "--precision", "fp32", "--threads", "1", *more),
    ]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _cohort(tmp_path_factory.mktemp("few"), 6, broken=(4,))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _cohort(tmp_path_factory.mktemp("many"), 30, broken=(3, 17, 28))


@pytest.fixture(scope="module")
def undisturbed(
    many: Path, small_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    result = _do(many, out, small_bundle)
    assert sum(bool(state.fault) for state in result.states) == 3
    return _outputs(out)


def test_a_bad_slide_is_named_and_the_others_are_done(
    few: Path, small_bundle: Path, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, _words(few, tmp_path / "out", small_bundle))
    assert done.exit_code == 1, done.output
    assert "5 of 6 slides done; 20 figures" in done.output
    assert "s4.tif" in done.output
    slides = pd.read_csv(tmp_path / "out" / "slides.csv")
    assert list(slides["outcome"]) == ["done"] * 4 + ["failed", "done"]
    written = {one.name for one in (tmp_path / "out").iterdir()}
    names = [name for name in slides["name"] if name != "s4"]
    tables = {"slides.csv", "cases.csv", "state", NOTES_FOLDER}
    endings = ("csv", "geojson", "sheet.jpg", "overview.jpg")
    assert written == tables | {f"{name}.{end}" for name in names for end in endings}


def test_slides_are_done_anew_for_another_laboratory_to_align_to(
    few: Path, small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    means = {"prevalence": 0.2, "normal_logit": -2.0, "atypical_logit": 1.0}
    bundle = copy_bundle(small_bundle, tmp_path / "bundle", **means)
    monkeypatch.chdir(tmp_path)
    table = Path("lab.csv")
    rows = [f"f{row},{p}" for row, p in enumerate([0.2, 0.6] * 30)]
    table.write_text("\n".join(["figure_id,p_atypical,call", *(f"{row},normal" for row in rows)]))
    sums = bundle_hash(bundle)
    Path("lab.run.json").write_text(json.dumps({"bundle_sha256": sums, "prevalence": None}))

    def aligned(before: int) -> pd.DataFrame:
        result = _do(few, tmp_path / "out", bundle, align_to=table)
        assert result.before == before
        return pd.read_csv(tmp_path / "out" / "s0.csv")

    first = aligned(before=0)
    assert aligned(before=5).equals(first)
    table.write_text(table.read_text(encoding="utf-8").replace("0.6", "0.7"))
    assert (aligned(before=0)["p_atypical"] < first["p_atypical"]).all()
    table.unlink()
    with pytest.raises(AtypiaError, match=r"align_to lab\.csv: there is no such file"):
        _do(few, tmp_path / "out", bundle, align_to=table)


@pytest.mark.parametrize("name", ["s0.geojson", "s1.csv", "s2.sheet.jpg", "slides.csv"])
def test_a_users_file_in_the_folder_of_results_is_never_touched(
    few: Path, small_bundle: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(AtypiaError, match=f"{name}: was not written by atypia"):
        _do(few, tmp_path, small_bundle)
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_correction_exported_over_a_result_outlives_any_other_start(
    few: Path, small_bundle: Path, tmp_path: Path
) -> None:
    _do(few, tmp_path, small_bundle)
    correction = (tmp_path / "s0.geojson").read_text().replace("P(atypical)", "corrected")
    (tmp_path / "s0.geojson").write_text(correction)
    _do(few, tmp_path, small_bundle)
    with pytest.raises(AtypiaError, match=r"s0\.geojson: .* has changed since"):
        _do(few, tmp_path, small_bundle, pictures=False)
    assert (tmp_path / "s0.geojson").read_text() == correction
    _do(few, tmp_path, small_bundle, pictures=False, overwrite=True)
    assert (tmp_path / "s0.geojson").read_text() != correction


def test_points_that_lie_in_the_folder_of_results_stay_as_they_are(
    few: Path, small_bundle: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(few.parent, tmp_path / "w")
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    for _ in range(2):
        with pytest.raises(AtypiaError, match="is an input of this run"):
            _do(folder / few.name, folder, small_bundle, overwrite=True)
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == before


def test_a_case_is_the_sum_of_its_slides(few: Path, small_bundle: Path, tmp_path: Path) -> None:
    _do(few, tmp_path, small_bundle)
    cases = pd.read_csv(tmp_path / "cases.csv").set_index("case")
    for case, numbers in (("case0", (0, 1)), ("case2", (5,))):
        calls = pd.concat([pd.read_csv(tmp_path / f"s{n}.csv") for n in numbers])
        atypical = (calls["call"] == "atypical").sum()
        row = cases.loc[case]
        assert (row["figures"], row["atypical"]) == (POINTS * len(numbers), atypical)
        assert row["atypical_share"] == pytest.approx(atypical / len(calls), abs=1e-6)
        assert row["atypical_per_mm2"] == pytest.approx(atypical / (0.5 * len(numbers)), abs=1e-6)
    assert list(cases["slides_failed"]) == [0, 0, 1]


def test_a_slide_that_was_searched_and_holds_no_figure_counts_for_its_case(
    few: Path, small_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "none.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    path = tmp_path / "list.csv"
    rows = [f"{few.parent / 's0.tif'},{few.parent / 's0.geojson'},P1,2"]
    rows.append(f"{few.parent / 's1.tif'},none.geojson,P1,2")
    path.write_text("\n".join(["slide,points,case,area_mm2", *rows]) + "\n")
    result = _do(path, tmp_path / "out", small_bundle)
    assert not result.faulty
    assert _do(path, tmp_path / "out", small_bundle).before == 2
    (row,) = pd.read_csv(tmp_path / "out" / "cases.csv").to_dict("records")
    assert (row["slides"], row["slides_failed"], row["area_mm2"]) == (2, 0, 4)
    assert row["atypical_per_mm2"] == pytest.approx(row["atypical"] / 4)


def test_the_hotspot_of_a_case_is_that_of_the_slide_with_most_figures(
    few: Path, small_bundle: Path, tmp_path: Path
) -> None:
    corners = [[0, 0], [16000, 0], [16000, 16000], [0, 16000], [0, 0]]
    tissue = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": {"classification": "Tissue"},
    }
    rows = ["slide,points,case"]
    for number, count in ((0, 2), (1, 4)):
        points = json.loads((few.parent / f"s{number}.geojson").read_text())[:count]
        (tmp_path / f"s{number}.geojson").write_text(json.dumps([*points, tissue]))
        rows.append(f"{few.parent / f's{number}.tif'},s{number}.geojson,P1")
    path = tmp_path / "list.csv"
    path.write_text("\n".join(rows) + "\n")
    plain = _words(path, tmp_path / "out", small_bundle, "--area-class", "Tissue")
    for command in (plain, [*plain, "--hotspot"]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert "earlier runs" not in done.output  # the option changes the results
        cases = pd.read_csv(tmp_path / "out" / "cases.csv")
        slides = pd.read_csv(tmp_path / "out" / "slides.csv")
        hotspot = [name for name in cases if name.startswith("hotspot_")]
        assert bool(hotspot) == ("--hotspot" in command)
    assert list(slides["hotspot_figures"]) == [2, 4]
    (row,) = cases.to_dict("records")
    assert (row["figures"], row["hotspot_slide"], row["hotspot_figures"]) == (6, "s1", 4)
    assert row["hotspot_atypical_share_low"] <= row["hotspot_atypical_share"]
    assert row["hotspot_figures_per_mm2"] == pytest.approx(4 / row["hotspot_area_mm2"], abs=1e-4)


def test_a_row_without_points_and_a_missing_file_cost_no_other(
    few: Path, small_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "list.csv"
    slide = few.parent / "s0.tif"
    good = f"{slide},{few.parent / 's0.geojson'},good"
    path.write_text(f"slide,points,name\n{good}\n{slide},,empty\n{slide},none.json,missing\n")
    done = CliRunner().invoke(app, _words(path, tmp_path / "out", small_bundle))
    assert done.exit_code == 1, done.output
    assert "1 of 3 slides done; 4 figures" in done.output
    assert f"empty: {path}, row 3: points: expected a file, found nothing" in done.output
    assert f"missing: {tmp_path / 'none.json'}: there is no such file" in done.output


def test_what_is_to_be_known_of_the_points_is_said(
    few: Path, small_bundle: Path, tmp_path: Path
) -> None:
    table = tmp_path / "p.csv"
    table.write_text("x,y,class\n20,20,Mitosis\n60,20,imposter\n")
    path = tmp_path / "list.csv"
    path.write_text(f"slide,points\n{few.parent / 's0.tif'},p.csv\n")
    done = CliRunner().invoke(app, _words(path, tmp_path / "out", small_bundle))
    assert done.exit_code == 0, done.output
    assert "s0: warning: " in done.output
    assert "1 of 2 points are no mitosis" in done.output
    assert "imposter" in pd.read_csv(tmp_path / "out" / "slides.csv")["warnings"][0]


def test_what_is_done_is_not_done_again_unless_something_changed(
    few: Path, small_bundle: Path, tmp_path: Path
) -> None:
    first = _do(few, tmp_path, small_bundle)
    assert first.before == 0
    times = {one: one.stat().st_mtime_ns for one in tmp_path.glob("s*.csv")}
    again = _do(few, tmp_path, small_bundle)
    assert again.before == 5  # the broken one is tried again
    assert {one: one.stat().st_mtime_ns for one in times if "slides" not in one.name} == {
        one: time for one, time in times.items() if "slides" not in one.name
    }
    (tmp_path / "s0.csv").unlink()
    other = few.with_name("s1.geojson")
    before = other.read_text()
    other.write_text(before.replace("annotation", "detection"))
    try:
        changed = _do(few, tmp_path, small_bundle)
    finally:
        other.write_text(before)
    assert changed.before == 3
    assert (tmp_path / "s0.csv").is_file()
    assert "detection" in (tmp_path / "s1.geojson").read_text()


def test_results_of_other_inputs_do_not_stay(few: Path, small_bundle: Path, tmp_path: Path) -> None:
    _do(few, tmp_path, small_bundle)
    _do(few, tmp_path, small_bundle, formats=("parquet",), pictures=False)
    names = {one.name for one in tmp_path.iterdir() if one.is_file()} - {"slides.csv", "cases.csv"}
    assert names == {f"s{number}.parquet" for number in (0, 1, 2, 3, 5)}


def test_a_fault_that_nobody_thought_of_costs_one_slide(
    few: Path, small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_slide

    def faulty(path: Path, **given: object) -> object:
        if path.name == "s2.tif":
            raise ZeroDivisionError("nobody thought of it")
        return opened(path, **given)  # type: ignore[arg-type]

    monkeypatch.setattr("atypia.workflows.slide.open_slide", faulty)
    result = _do(few, tmp_path, small_bundle)
    assert [bool(state.fault) for state in result.states] == [
        False,
        False,
        True,
        False,
        True,
        False,
    ]
    assert "s2.tif: ZeroDivisionError: nobody thought of it" in result.states[2].fault
    assert "faulty" in result.states[2].trace


def test_a_slide_that_another_process_is_at_is_waited_for(
    few: Path, small_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    lock = FileLock(tmp_path / "state" / "s0.lock")
    lock.acquire()
    seen: list[int] = []

    def on_progress(task: str, done: int, of: int, note: str) -> None:
        seen.append(done)
        if done == of - 1:  # all but that one
            lock.release()

    result = _do(few, tmp_path, small_bundle, on_progress=on_progress)
    assert seen == list(range(7))
    assert not result.states[0].fault


def test_killed_five_times_it_ends_with_the_outputs_of_an_undisturbed_run(
    warm_python: WarmPython,
    many: Path,
    small_bundle: Path,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    states = tmp_path / "state"
    words = ("-m", "atypia", *_words(many, tmp_path, small_bundle))
    for _ in range(5):
        there = len(list(states.glob("*.json"))) if states.is_dir() else 0
        process = warm_python.start(*words)
        until = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            if len(list(states.glob("*.json"))) > there + 1:
                break
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.1)))
        assert process.poll() is None, "it was to be killed while it works"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    last = warm_python.run(*words)
    assert last.returncode == 1, last.stderr
    assert "27 of 30 slides done (" in last.stdout
    assert _outputs(tmp_path) == undisturbed


@pytest.mark.slow  # in the quick suite: Ray in test_offline.py, kills in the test above
def test_through_ray_it_is_the_same_though_a_worker_is_killed(
    warm_python: WarmPython,
    many: Path,
    small_bundle: Path,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
) -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    printed = tmp_path.with_name("printed")
    with printed.open("w") as file:
        process = warm_python.start(
            "-m",
            "atypia",
            *_words(many, tmp_path, small_bundle, "--engine", "ray"),
            stdout=file.fileno(),
            stderr=file.fileno(),
            env=os.environ | {"RAY_DISABLE_MEMORY_MONITOR": "1"},
        )
    states = tmp_path / "state"
    until = time.monotonic() + 180
    while len(list(states.glob("*.json"))) < 10 and time.monotonic() < until:
        assert process.poll() is None, printed.read_text()
        time.sleep(0.02)
    workers: list[int] = []  # a worker bears the name only while it is at a slide
    while not workers and time.monotonic() < until:
        workers = [
            one for one in _descendants(process.pid) if "ray::_do_slide" in _command_line(one)
        ]
    os.kill(workers[0], signal.SIGKILL)
    code, said = process.wait(timeout=300), printed.read_text()
    assert code == 1, said
    assert "27 of 30 slides done;" in said
    assert _outputs(tmp_path) == undisturbed


def test_wrong_usage_is_told_in_one_line(few: Path, small_bundle: Path, tmp_path: Path) -> None:
    for bundle, more, said in (
        (tmp_path / "none", (), "none: is not a bundle"),
        (small_bundle, ("--format", "xls"), "format xls: expected some of geojson"),
        (small_bundle, ("--ray-address", "auto"), "--ray-address: .* add --engine ray"),
    ):
        done = CliRunner().invoke(app, _words(few, tmp_path / "out", bundle, *more))
        assert isinstance(done.exception, AtypiaError)
        assert re.search(said, str(done.exception))
        assert "\n" not in str(done.exception)


def _descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):  # a process or thread may end while it is looked at
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def test_slides_in_a_folder_whose_name_is_no_utf8_are_done_once(
    few: Path, small_bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system has no such names")
    for name in ("s0.tif", "s0.geojson", "s4.tif", "s4.geojson"):
        shutil.copy(few.parent / name, folder)
    path = folder / "slides.csv"
    path.write_text("slide,points\ns0.tif,s0.geojson\ns4.tif,s4.geojson\n")
    first = _do(path, tmp_path / "out", small_bundle)
    assert [bool(state.fault) for state in first.states] == [False, True], first.states[0].trace
    slides = pd.read_csv(tmp_path / "out" / "slides.csv")
    assert slides["slide"][0].endswith("\\udcff/s0.tif")
    assert _do(path, tmp_path / "out", small_bundle).before == 1
