"""The server of a bundle: on one address, until it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from atypia.apps.listening import is_loopback, listen
from atypia.apps.serve.app import make_app
from atypia.apps.serve.slides import Slides
from atypia.errors import AtypiaError
from atypia.inference.predictor import Predictor

LEAST_TOKEN = 16


def serve(
    predictor: Predictor,
    *,
    root: Path | None = None,
    host: str,
    port: int,
    token: str = "",
    certificate: Path | None = None,
    key: Path | None = None,
    on_ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve a bundle until it is interrupted; what was accepted is answered first.

    Args:
        predictor: that classifies.
        root: folder of the slides that requests may name; none serves crops alone.
        host: address to listen on.
        port: 0 takes a free one.
        token: that requests must carry; "" asks for none, on an address of this machine only.
        certificate: for https, PEM.
        key: of the certificate.
        on_ready: called with the address once it is taken.

    Raises:
        AtypiaError: other machines would reach it without a token, the root is no folder, the port
            is taken, or the certificate cannot be used.
    """
    if token and (len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable()):
        raise AtypiaError(
            f"--token: expected {LEAST_TOKEN} or more letters and digits; make one with "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    if not token and not is_loopback(host):
        raise AtypiaError(
            f"--host {host}: other machines reach this address; give a --token that requests must "
            "carry, or serve on 127.0.0.1"
        )
    slides = None if root is None else Slides(predictor, root)
    _warm_up(predictor)
    listen(
        partial(make_app, predictor, slides=slides, token=token),
        host=host,
        port=port,
        certificate=certificate,
        key=key,
        on_ready=on_ready,
    )


def _warm_up(predictor: Predictor) -> None:
    """Classify a blank crop, so that the first request does not wait for what is made once."""
    side = predictor.manifest.input_px
    predictor.predict(np.full((side, side, 3), 240, np.uint8), mpp=predictor.manifest.assumed_mpp)
