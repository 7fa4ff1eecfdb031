from __future__ import annotations

import pandas as pd

from atypia.data.domains import domain_names


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
