"""A message offers the nearest name, and passes on what a library reported, on one line."""

from __future__ import annotations

from atypia.errors import describe_fault, suggest_name


def test_the_nearest_name_is_offered_in_any_case_and_none_where_none_is_near() -> None:
    assert suggest_name("MITOSIS", ["Mitosis", "Tumor"]) == "; did you mean Mitosis?"
    assert suggest_name("lymphocyte", ["Mitosis", "Tumor"]) == ""


def test_a_librarys_message_becomes_one_line_that_can_be_written() -> None:
    assert describe_fault(ValueError("bad\n  header \ud800")) == "bad header \\ud800"
    assert len(describe_fault(ValueError("x" * 999))) == 200
    assert describe_fault(EOFError()) == "EOFError"
