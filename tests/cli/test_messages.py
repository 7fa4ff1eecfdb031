"""What the library logs is printed by the command, a line each, until the command ends."""

from __future__ import annotations

import logging

import pytest

from atypia.cli.messages import print_messages


def test_notes_are_called_notes_and_all_else_is_printed_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logging.getLogger("atypia.workflows.any")
    with print_messages():
        log.debug("a detail")
        log.info("3 figures left out")
        log.warning("%s: the file is empty", "2.png")
    log.info("after the command")
    assert capsys.readouterr().err == "note: 3 figures left out\n2.png: the file is empty\n"
