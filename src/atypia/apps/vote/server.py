"""The server of a study: one at a time, on one address, until it is interrupted."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout

from atypia.apps.vote.app import make_app
from atypia.apps.vote.links import is_loopback, make_links
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
        listener = _listen(host, port)
        with listener:
            taken = listener.getsockname()[1]
            scheme = "http" if certificate is None else "https"
            shown = f"[{host}]" if ":" in host else host
            config = uvicorn.Config(
                make_app(study, hosts=list_hosts(shown, taken, scheme), scheme=scheme),
                log_config=None,  # uvicorn's own would close the handlers of this process
                log_level="warning",
                access_log=False,  # links hold tokens
                server_header=False,
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
            try:
                config.load()
            except OSError as fault:
                raise AtypiaError(
                    f"{certificate}: cannot be used as a certificate with its key "
                    f"({fault.strerror or fault}); give both as PEM"
                ) from fault
            on_ready(make_links(study, f"{scheme}://{shown}:{taken}"))
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        lock.release()


def list_hosts(host: str, port: int, scheme: str) -> list[str]:
    """Return how browsers may name the server in a request: with the port, unless it is usual."""
    names = ["127.0.0.1", "localhost", "[::1]"] if is_loopback(host) else []
    named = dict.fromkeys([host, *names])
    usual = port == {"http": 80, "https": 443}[scheme]
    return [f"{name}:{port}" for name in named] + (list(named) if usual else [])


def _listen(host: str, port: int) -> socket.socket:
    if host in ("", "0.0.0.0", "::"):
        raise AtypiaError(
            f"--host {host}: stands for every address of this machine; give the one, or the name, "
            "by which experts reach it, since links hold it and requests by others are refused"
        )
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()  # from here on nobody who has a link is turned away
        return listener
    except OSError as fault:
        raise AtypiaError(
            f"{host}:{port}: cannot be listened on ({fault.strerror or fault}); give another "
            "--port, or an address of this machine as --host"
        ) from fault
