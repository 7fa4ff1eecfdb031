"""A section of the recipe refuses what it does not know, and stays as it was validated."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from atypia.training.section import Section, Share


class Pace(Section):
    """How fast."""

    share: Share = 0.5


def test_an_unknown_key_is_refused_and_not_swallowed() -> None:
    with pytest.raises(ValidationError, match="shares"):
        Pace.model_validate({"shares": 0.5})


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(ValidationError, match="share"):
        Pace(share=share)


def test_a_value_is_not_changed_after_it_was_validated() -> None:
    pace = Pace()
    with pytest.raises(ValidationError, match="frozen"):
        pace.share = 7  # type: ignore[misc]
    assert pace.share == 0.5
