"""The server of a study: one at a time, on one address, until it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from atypia.apps.listening import listen
from atypia.apps.vote.app import make_app
from atypia.apps.vote.links import make_links
from atypia.errors import AtypiaError
from atypia.study.study import Study

LOCK_NAME = "serve.lock"


def serve(
    study: Study,
    *,
    host: str,
    port: int,
    certificate: Path | None = None,
    key: Path | None = None,
    on_ready: Callable[[dict[str, str]], None] = lambda links: None,
) -> None:
    """Serve a study until it is interrupted.

    Args:
        study: open.
        host: address to listen on.
        port: 0 takes a free one.
        certificate: for https, PEM.
        key: of the certificate.
        on_ready: called with the links once the address is taken.

    Raises:
        AtypiaError: the port is taken, the address is not this machine's, the certificate cannot be
            used, or another server has the study.
    """
    lock = FileLock(study.folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout as fault:
        raise AtypiaError(
            f"{study.folder}: another server has this study; use its links, or stop it first"
        ) from fault
    except OSError as fault:
        raise AtypiaError(
            f"{study.folder}: cannot be written ({fault.strerror or fault}); votes need a folder "
            "that you can write"
        ) from fault
    try:
        listen(
            partial(make_app, study),
            host=host,
            port=port,
            certificate=certificate,
            key=key,
            on_ready=lambda address: on_ready(make_links(study, address)),
        )
    finally:
        lock.release()
