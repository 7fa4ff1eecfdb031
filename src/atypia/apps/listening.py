"""An application on one address of this machine, until it is interrupted."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from atypia.errors import AtypiaError

MakeApp = Callable[[Sequence[str], str], ASGIApp]
"""Makes an application of the names that requests may call its host by, and http or https."""

_STOPPING_S = 30


def listen(
    make_app: MakeApp,
    *,
    host: str,
    port: int,
    certificate: Path | None = None,
    key: Path | None = None,
    on_ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve an application until SIGINT or SIGTERM; requests that are being answered end first.

    Args:
        make_app: called once the address is taken.
        host: address to listen on, or a name of this machine.
        port: 0 takes a free one.
        certificate: for https, PEM.
        key: of the certificate.
        on_ready: called with the address, such as `http://127.0.0.1:8808`, once it is taken.

    Raises:
        AtypiaError: the port is taken, the address is not this machine's, or the certificate cannot
            be used.
    """
    with _take(host, port) as listener:
        taken = listener.getsockname()[1]
        scheme = "http" if certificate is None else "https"
        shown = f"[{host}]" if ":" in host else host
        config = uvicorn.Config(
            make_app(list_hosts(shown, taken, scheme), scheme),
            log_config=None,  # uvicorn's own would close the handlers of this process
            log_level="warning",
            access_log=False,  # links hold tokens
            server_header=False,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            timeout_graceful_shutdown=_STOPPING_S,
        )
        try:
            config.load()
        except OSError as fault:
            raise AtypiaError(
                f"{certificate}: cannot be used as a certificate with its key "
                f"({fault.strerror or fault}); give both as PEM"
            ) from fault
        on_ready(f"{scheme}://{shown}:{taken}")
        uvicorn.Server(config).run(sockets=[listener])


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    return host in ("localhost", "::1", "[::1]") or host.startswith("127.")


def list_hosts(host: str, port: int, scheme: str) -> list[str]:
    """Return how a request may name the server: with the port, unless it is the usual one."""
    names = ["127.0.0.1", "localhost", "[::1]"] if is_loopback(host) else []
    named = dict.fromkeys([host, *names])
    usual = port == {"http": 80, "https": 443}[scheme]
    return [f"{name}:{port}" for name in named] + (list(named) if usual else [])


def _take(host: str, port: int) -> socket.socket:
    if host in ("", "0.0.0.0", "::"):
        raise AtypiaError(
            f"--host {host}: stands for every address of this machine; give the one, or the name, "
            "by which others reach it, since requests that name another one are refused"
        )
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)  # from here on nobody who knows the address is turned away
        return listener
    except OSError as fault:
        raise AtypiaError(
            f"{host}:{port}: cannot be listened on ({fault.strerror or fault}); give another "
            "--port, or an address of this machine as --host"
        ) from fault
