"""`python -m atypia`."""

from atypia.cli.main import run

run()
