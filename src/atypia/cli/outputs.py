"""The option of every verb that writes files."""

from __future__ import annotations

from typing import Annotated

import typer

Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace files that atypia did not write, or that have changed since. Inputs are "
        "never replaced.",
        show_default=False,
    ),
]
