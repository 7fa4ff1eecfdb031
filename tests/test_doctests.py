"""Every public class and function has an example in its docstring, and it gives what it says."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import pytest

import atypia

NAMES = [name for name in atypia.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_example_that_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    public = getattr(atypia, name)
    module = inspect.getmodule(public)
    found = doctest.DocTestFinder().find(public, name, module=module)
    tests = [test for test in found if test.examples]
    assert tests, f"atypia.{name} has no example in its docstring"
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    lines: list[str] = []
    for test in tests:
        runner.run(test, out=lines.append)
    assert not runner.failures, "".join(lines)
