"""The option that every verb which writes files has."""

from __future__ import annotations

from typing import Annotated

import typer

Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace existing files, even if atypia did not write them or they have changed "
        "since. Inputs are never replaced.",
        show_default=False,
    ),
]
