"""Options of the verbs that serve: where they listen, and how nobody on the way listens too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atypia.errors import AtypiaError

Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")]
TlsCert = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate for https, PEM.")
]
TlsKey = Annotated[
    Path | None, typer.Option("--tls-key", metavar="FILE", help="Key of the certificate, PEM.")
]


def require_pair(tls_cert: Path | None, tls_key: Path | None) -> None:
    """Refuse a certificate without its key, or a key without its certificate.

    Raises:
        AtypiaError: one is given alone.
    """
    if (tls_cert is None) != (tls_key is None):
        raise AtypiaError("--tls-cert and --tls-key: give both, or neither")
