"""`atypia serve`: a classifier at an address."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from atypia.cli.address import Port, TlsCert, TlsKey, require_pair
from atypia.cli.options import with_predict_options
from atypia.inference.options import PredictOptions


@with_predict_options
def serve(
    *,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root",
            metavar="SLIDES",
            help="Folder of slides that requests may name by their path below it. Default: none; "
            "crops are classified.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", help="Address to listen on."),
    ] = "127.0.0.1",
    port: Port = 8807,
    token: Annotated[
        str,
        typer.Option(
            "--token",
            metavar="TOKEN",
            envvar="ATYPIA_TOKEN",
            show_envvar=True,
            help="What requests must carry as `Authorization: Bearer TOKEN`; needed where other "
            "machines reach the address. In the environment nobody else sees it.",
        ),
    ] = "",
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    options: PredictOptions,
) -> None:
    """Serve a bundle: programs send crops, or points on slides, and get what `predict` would write.

    The page /docs at the address shows the routes and tries them. It holds no state: stop it with
    Ctrl-C at any time, or run several.

    Example: atypia serve --port 8807
    """
    from atypia.apps.listening import is_loopback
    from atypia.apps.serve.server import serve as serve_bundle
    from atypia.inference.predictor import Predictor

    require_pair(tls_cert, tls_key)
    predictor = Predictor.load(options=options)
    runtime = predictor.runtime

    def show_address(address: str) -> None:
        typer.echo(
            f"{predictor.manifest.name} ({predictor.bundle.sha256[:12]}), "
            f"{runtime.version_text}, {runtime.device_name}, {runtime.precision}"
        )
        typer.echo(address)
        typer.echo(f"routes: {address}/docs")
        if not is_loopback(host) and tls_cert is None:
            typer.echo(
                "note: whoever listens on the way can read crops and token; give --tls-cert and "
                "--tls-key, or put it behind a proxy that speaks https",
                err=True,
            )
        typer.echo("press Ctrl-C to stop", err=True)

    with suppress(KeyboardInterrupt):
        serve_bundle(
            predictor,
            root=root,
            host=host,
            port=port,
            token=token,
            certificate=tls_cert,
            key=tls_key,
            on_ready=show_address,
        )
    typer.echo("stopped; every request that was accepted has its answer", err=True)
