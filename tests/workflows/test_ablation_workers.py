"""A run that fails leaves the others, here and in workers; a worker that was killed is named."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace
from typing import Any

import pytest

from atypia.errors import AtypiaError
from atypia.workflows import ablation_workers
from atypia.workflows.ablation_workers import train_here, train_in_workers

JOBS: list[Any] = ["first", "bad", "last"]


def _train(job: str) -> str:
    if job == "bad":
        raise AtypiaError("it diverged")
    return f"line of {job}"


BENCH: Any = SimpleNamespace(train=_train)


class Threads(ThreadPoolExecutor):
    """Stands for the pool of processes: spawned ones cannot import this file."""

    def __init__(self, workers: int, context: object, initializer: Any, initargs: tuple) -> None:
        super().__init__(workers)
        ablation_workers._benches[:] = initargs


def _texts(outcomes: Any) -> dict[str, str]:
    return {job: str(outcome) for job, outcome in outcomes}


EXPECTED = {"first": "line of first", "bad": "it diverged", "last": "line of last"}


def test_a_run_that_fails_leaves_the_others_in_order() -> None:
    outcomes = _texts(train_here(BENCH, JOBS))
    assert outcomes == EXPECTED
    assert list(outcomes) == JOBS


def test_a_run_that_fails_in_a_worker_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation_workers, "ProcessPoolExecutor", Threads)
    assert _texts(train_in_workers(BENCH, JOBS, 2)) == EXPECTED


def test_ctrl_c_is_left_to_this_process_and_is_not_blocked_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Threads inherit the mask of signals from the thread that starts them, as processes do."""
    monkeypatch.setattr(ablation_workers, "ProcessPoolExecutor", Threads)
    bench: Any = SimpleNamespace(train=lambda job: signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    for _, mask in train_in_workers(bench, JOBS, 2):
        assert signal.SIGINT in mask  # type: ignore[operator]
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_worker_that_was_killed_is_named_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(job: str) -> str:
        raise BrokenProcessPool

    monkeypatch.setattr(ablation_workers, "ProcessPoolExecutor", Threads)
    bench: Any = SimpleNamespace(train=killed)
    with pytest.raises(AtypiaError, match=r"a worker was killed.*to resume, with fewer --workers"):
        list(train_in_workers(bench, JOBS, 2))
