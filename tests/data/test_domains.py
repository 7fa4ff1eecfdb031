from __future__ import annotations

import pandas as pd

from atypia.data.domains import domain_names, shared_domain_parts, short_domain_names


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
