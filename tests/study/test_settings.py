"""Settings of a study: what does not fit is a sentence."""

from __future__ import annotations

import pytest

from atypia.errors import AtypiaError
from atypia.study.settings import StudySettings, check_settings

GOOD = {
    "experts": ("anna", "ben", "eva"),
    "rule": "two-and-one",
    "figures_sha256": "0" * 64,
    "created": "2026-11-27T22:00:00+00:00",
    "atypia": "0.1.0",
}


def test_the_last_expert_is_the_arbiter_unless_another_is_named() -> None:
    settings = check_settings(GOOD)
    assert (settings.arbiter, settings.first_two) == ("eva", ("anna", "ben"))
    other = check_settings(GOOD | {"arbiter": "anna"})
    assert (other.arbiter, other.first_two) == ("anna", ("ben", "eva"))
    assert settings.votes_of_majority is None
    assert check_settings(GOOD | {"rule": "majority-of-3"}).votes_of_majority == 3
    assert check_settings(GOOD | {"rule": "all"}).arbiter == ""
    again = StudySettings.model_validate_json(settings.model_dump_json())
    assert again == settings


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"experts": ()}, "experts: expected at least one name"),
        ({"experts": ("anna", "Anna", "eva")}, "experts: anna is given twice; every expert needs"),
        ({"experts": ("anna", "../ben", "eva")}, r"experts: '\.\./ben' cannot be an expert's name"),
        ({"experts": ("anna", "lead", "eva")}, "experts: 'lead' cannot be an expert's name"),
        ({"experts": ("anna", "", "eva")}, "experts: '' cannot be an expert's name"),
        ({"experts": ("anna", "b" * 41, "eva")}, "experts: .* cannot be an expert's name"),
        ({"experts": ("anna", "ben")}, "rule two-and-one needs three experts, got 2"),
        ({"arbiter": "ewa"}, "arbiter 'ewa' is no expert of the study; did you mean eva"),
        ({"rule": "all", "arbiter": "eva"}, "arbiter eva: only rule two-and-one has one"),
        ({"rule": "most"}, "rule 'most': expected two-and-one, all or majority-of-N"),
        ({"rule": "majority-of-0"}, "rule 'majority-of-0': expected two-and-one"),
        ({"rule": "majority-of-5"}, "rule majority-of-5 needs 5 experts, got 3"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_a_sentence(change: dict, says: str) -> None:
    with pytest.raises(AtypiaError, match=f"^study: {says}") as caught:
        check_settings(GOOD | change)
    assert "\n" not in str(caught.value)
