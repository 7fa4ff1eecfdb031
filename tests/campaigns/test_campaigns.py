"""The campaigns of docs/campaigns.md find what they look for, and find nothing today."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from warm_python import WarmPython

CAMPAIGNS = Path(__file__).resolve().parents[2] / "campaigns"


@pytest.fixture
def run(warm_python: WarmPython) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program of the campaigns; what it starts are warm processes, too."""
    start = f"import runpy, sys; sys.executable = {str(warm_python.folder / 'python')!r}; "
    start += "sys.argv = sys.argv[1:]; sys.path[0] = sys.argv[0].rpartition('/')[0]; "
    start += "runpy.run_path(sys.argv[0], run_name='__main__')"

    def command(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return warm_python.run("-c", start, CAMPAIGNS / program, *arguments)

    return command


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, CAMPAIGNS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_fuzzing_tries_what_it_says_and_appends_a_line(run: Callable, tmp_path: Path) -> None:
    summary, out = tmp_path / "fuzz.jsonl", tmp_path / "found"
    done = run(
        "fuzz.py", "--target", "recipe", "--count", "120", "--out", out, "--summary", summary
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = map(json.loads, summary.read_text().splitlines())
    assert (line["target"], line["inputs"], line["findings"]) == ("recipe", 120, 0)
    assert 0 < line["accepted"] < 120


def test_predict_stopped_by_sigterm_goes_on_with_the_same_command(
    run: Callable, tmp_path: Path
) -> None:
    results = tmp_path / "kill.jsonl"
    which = ("--verb", "predict", "--signal", "TERM", "--times", "1", "--workers", "1")
    done = run("kill.py", *which, "--results", results)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = map(json.loads, results.read_text().splitlines())
    assert (line["verb"], line["outcome"]) == ("predict", "held")
    again = run("kill.py", *which, "--results", results)  # that kill is done
    assert len(results.read_text().splitlines()) == 1, again.stdout


def test_every_mutant_fits_the_package_of_today() -> None:
    mutants = _module("mutants")
    root = CAMPAIGNS.parent
    for mutant in mutants.MUTANTS:
        text = (root / "src" / "atypia" / mutant.path).read_text(encoding="utf-8")
        ast.parse(mutants.mutated(mutant, text))
        files = [test.partition("::")[0] for test in mutant.tests]
        assert all((root / "tests" / file).exists() for file in files), mutant.name


def test_a_file_without_points_keeps_the_promise_of_its_class(
    run: Callable, tmp_path: Path
) -> None:
    empty = tmp_path / "points.geojson"
    empty.write_text("[]")
    done = run("fuzz.py", "--target", "geojson", "--replay", empty)
    assert (done.returncode, done.stdout) == (0, "accepted\n"), done.stderr


def test_a_document_can_be_changed_any_number_of_times() -> None:
    mutate = _module("mutate")
    for number in range(500):
        document: object = {"points": [[1, 2]], "names": ["a"]}
        choices = mutate.Choices.of(str(number).encode())
        for _ in range(4):
            document = mutate.tree(choices, document)
        mutate.json_text(choices, document)
