from __future__ import annotations

import pandas as pd
import pytest

from atypia.data.domains import (
    domain_names,
    group_spellings,
    shared_domain_parts,
    short_domain_names,
    spell_alike,
    spelling_keys,
)


def test_a_name_holds_the_known_parts_in_order() -> None:
    frame = pd.DataFrame(
        {
            "species": ["dog", "unknown", "unknown"],
            "scanner": ["XR", "unknown", "unknown"],
            "tumour": ["lung", "lung", "unknown"],
            "laboratory": ["unknown", "L", "unknown"],
        }
    )
    assert list(domain_names(frame)) == ["lung, XR, dog", "lung, L", "unknown"]
    assert len(domain_names(frame.iloc[:0])) == 0


def test_parts_that_all_domains_share_are_named_once() -> None:
    names = ["breast, XR, Utrecht", "breast, CS2, Utrecht", "breast, Utrecht"]
    assert shared_domain_parts(names) == ["breast", "Utrecht"]
    assert list(short_domain_names(names).values()) == ["XR", "CS2", "breast, Utrecht"]
    assert short_domain_names(["breast, XR"]) == {"breast, XR": "breast, XR"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Human", "human"),
        ("UMC Utrecht", "umc_utrecht"),
        ("3D Histech", "3DHISTECH"),
        ("human breast cancer", "Breast cancer, human"),
        ("Aperio CS2", "Aperio (CS2)"),
        ("VMU Vienna", "VMUVienna"),
        ("Gro\u00dfhadern", "GROSSHADERN"),
        ("\uff38\uff32", "XR"),
    ],
)
def test_spellings_of_one_name_are_one(one: str, other: str) -> None:
    assert spelling_keys(one) & spelling_keys(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("site 1-1", "site 11"),
        ("lab 1 2", "lab 2 1"),
        ("HER2+", "HER2-"),
        ("ER-/PR+", "ER+/PR-"),
        ("grade <2", "grade >2"),
        ("hospital A of B", "hospital B of A"),
        ("XR", "CS2"),
        ("Z\u00fcrich", "Zurich"),
    ],
)
def test_signs_that_tell_names_apart_stay(one: str, other: str) -> None:
    assert not spelling_keys(one) & spelling_keys(other)


def test_a_name_near_to_two_joins_them() -> None:
    names = ["VMUVienna", "Vienna VMU", "other", "VMU Vienna"]
    groups = group_spellings(names)
    assert sorted(map(sorted, groups)) == [sorted({*names} - {"other"}), ["other"]]


def test_figures_to_adapt_to_carry_the_names_of_those_trained_on() -> None:
    parts = ("tumour", "scanner", "laboratory", "species")
    here = pd.DataFrame([["lung", "XR", "L", "unknown"]], columns=parts)
    there = pd.DataFrame([["Lung", "xr", "M", "unknown"]], columns=parts)
    assert list(domain_names(spell_alike(there, here))) == ["lung, XR, M"]
