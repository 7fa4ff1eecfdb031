"""Slides classified by a Ray cluster: one task a slide, on a laptop's cores or on many nodes.

What a task writes is what `here` writes, into the same folder, which all nodes must see. A worker
that dies costs a retry: Ray gives its slide to another, and its lock died with it.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from atypia.data.slide_list import ListedSlide
from atypia.errors import AtypiaError, describe_fault
from atypia.inference.options import PredictOptions
from atypia.inference.predictor import Predictor
from atypia.workflows.slide_state import SlideState
from atypia.workflows.slides import LOOK_AGAIN_S, Engine, SlidesJob, do_slide

if TYPE_CHECKING:
    import ray

RETRIES = 3
ANSWER_S = 10.0
_IN_FLIGHT_A_CPU = 2


def on_ray(address: str | None) -> Engine:
    """Return an engine that classifies slides on a Ray cluster.

    Args:
        address: of a running cluster, such as "auto" or "ray://host:10001"; none starts one on
            this machine for the time of the run, unless RAY_ADDRESS names one.

    Raises:
        AtypiaError: ray is not installed.
    """
    here = address is None and "RAY_ADDRESS" not in os.environ
    if here:
        # Before ray is imported: take the loopback address. It would find another by way of
        # 8.8.8.8, and open ports there.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if find_spec("ray") is None:
        raise AtypiaError(
            "--engine ray needs ray, which is not installed; pip install 'atypia[ray]'"
        )

    def engine(
        job: SlidesJob, slides: Sequence[ListedSlide]
    ) -> Iterator[tuple[ListedSlide, SlideState]]:
        _require_answer(address)
        with _cluster_here() if here else _cluster_at(address):
            yield from _do_slides(job, slides)

    return engine


@contextmanager
def _cluster_at(address: str | None) -> Iterator[None]:
    import ray
    from ray.exceptions import RayError

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RayError, ValueError) as fault:
        raise AtypiaError(
            f"ray cluster {address}: cannot be reached ({describe_fault(fault)}); "
            "start one with `ray start --head`, or leave the address out"
        ) from fault
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _cluster_here() -> Iterator[None]:
    """Start a cluster that no other machine reaches, that is offline, and leaves no trace."""
    import ray

    # Without it Ray keeps one in the home, for good.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    home, temporary = os.environ.get("HOME"), os.environ.get("RAY_TMPDIR")
    with TemporaryDirectory(prefix="ray", dir=temporary, ignore_cleanup_errors=True) as folder:
        # Where the home has no such file, Ray asks the clouds in turn which of them it is in.
        Path(folder, "ray_bootstrap_config.yaml").write_text("{}", encoding="utf-8")
        os.environ["HOME"] = folder
        try:
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": {} if home is None else {"HOME": home}},
                _temp_dir=folder,
            )
        finally:
            if home is None:
                del os.environ["HOME"]
            else:
                os.environ["HOME"] = home
        try:
            yield
        finally:
            ray.shutdown()


def _require_answer(address: str | None) -> None:
    """Refuse an address that does not answer: Ray itself would try for minutes."""
    host, _, port = (address or "").rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
    except (OSError, OverflowError) as fault:
        raise AtypiaError(
            f"ray cluster {address}: nobody answers there ({fault}); start one with "
            "`ray start --head`, or leave the address out"
        ) from fault


def _do_slides(
    job: SlidesJob, slides: Sequence[ListedSlide]
) -> Iterator[tuple[ListedSlide, SlideState]]:
    import ray
    from ray.exceptions import RayError

    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    threads = job.options.threads or 1
    gpus = 0 if job.options.device == "cpu" or not resources.get("GPU") else 1
    task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=RETRIES)(_do_slide)
    shared = ray.put(job)
    # As many at a time as keep every worker busy: Ray would hold the rest in memory.
    most = _IN_FLIGHT_A_CPU * max(1, int(resources.get("CPU", 1)))
    left = iter(slides)
    waiting: dict[ray.ObjectRef[SlideState], ListedSlide] = {}
    while True:
        for listed in left:
            waiting[task.remote(shared, listed)] = listed
            if len(waiting) >= most:
                break
        if not waiting:
            return
        (ended,), _ = ray.wait(list(waiting), num_returns=1)
        listed = waiting.pop(ended)
        try:
            yield listed, ray.get(ended)
        except RayError as fault:
            message = f"{listed.slide}: its worker died {RETRIES + 1} times; is the memory short?"
            yield listed, SlideState(inputs=job.inputs(listed), fault=message, trace=str(fault))


def _do_slide(job: SlidesJob, listed: ListedSlide) -> SlideState:
    """Classify a slide in a worker; wait while another process does."""
    options = job.options
    if options.threads is None:
        options = options.updated({"threads": 1})
    while True:
        state = do_slide(job, listed, _load(options))
        if state is not None:
            return state
        time.sleep(LOOK_AGAIN_S)


@cache
def _load(options: PredictOptions) -> Predictor:
    """Load a bundle once in the life of a worker."""
    return Predictor.load(options=options)
