"""The runs of an ablation one after the other, or in worker processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from atypia.errors import AtypiaError
from atypia.platform import block_interrupts
from atypia.workflows.ablation_bench import Bench, Job
from atypia.workflows.ablation_runs import RunLine

Outcomes = Generator[tuple[Job, RunLine | AtypiaError], None, None]
"""Each run as it ends: its line, or why it failed."""


def train_here(bench: Bench, jobs: list[Job]) -> Outcomes:
    """Do runs in this process, one after the other."""
    for job in jobs:
        try:
            yield job, bench.train(job)
        except AtypiaError as fault:
            yield job, fault


def train_in_workers(bench: Bench, jobs: list[Job], workers: int) -> Outcomes:
    """Do runs in processes of their own; they end at once when this generator ends."""
    spawn = multiprocessing.get_context("spawn")  # a fork would share torch's threads and CUDA
    before = set(multiprocessing.active_children())
    # A bench goes to a worker once, not with every job: a stop would wait for ever on a full pipe
    # that nobody reads any more.
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), spawn, initializer=_begin_worker, initargs=(bench,)
    )
    try:
        # Ctrl-C reaches the whole group; workers inherit this mask and leave the handling to us.
        with block_interrupts():
            futures = {pool.submit(_train_job, job): job for job in jobs}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                raise AtypiaError(
                    "a worker was killed, perhaps for lack of memory; run the same command again "
                    "to resume, with fewer --workers to need less memory"
                ) from None
            except AtypiaError as fault:
                yield futures[future], fault
    except BaseException:
        for worker in set(multiprocessing.active_children()) - before:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_benches: list[Bench] = []
"""In a worker, its bench."""


def _begin_worker(bench: Bench) -> None:
    _benches.append(bench)
    _end_with_parent()


def _train_job(job: Job) -> RunLine:
    return _benches[0].train(job)


def _end_with_parent() -> None:
    """End this worker when its parent is killed: the same command may already train again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        watched = parent

        def watch() -> None:
            watched.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
