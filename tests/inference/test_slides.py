"""Points of a slide as figures, and their predictions in the order of the points."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import shapely

from atypia.errors import AtypiaError
from atypia.inference.crops import CropSpec
from atypia.inference.slides import (
    InPointsOrder,
    count_figures,
    name_class,
    require_slide_ending,
    slide_source,
)

# Two blocks of 512 px: the third point lies in the first block.
POINTS: Any = SimpleNamespace(
    frame=pd.DataFrame(
        {"point_id": ["a", "b", "c"], "x": [10.0, 2000.0, 30.0], "y": [10.0, 10.0, 20.5]}
    )
)
SLIDE: Any = SimpleNamespace(
    path=Path("s.tif"),
    mpp=0.25,
    mpp_source="slide",
    level_mpp=(0.25, 0.5, 1.0),
    level_for=lambda mpp: int(mpp >= 0.5),
    window=lambda *place, **how: (place, how),
)


def predicted(*ids: str, call: str = "atypical", refer: bool = False) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "figure_id": list(ids),
            "p_atypical": [ord(name) / 1000 for name in ids],
            "spread": 0.1,
            "call": call,
            "refer": refer,
            "phase": "early",
            "in_scope": not refer,
            "scope_reason": "ink" if refer else "",
        }
    )


def test_points_are_read_block_by_block_at_the_level_that_suffices() -> None:
    fine = slide_source(SLIDE, POINTS, CropSpec(32.0, 128, 0.25, 0.2))
    assert (fine.ids, fine.mpp) == (["a", "c", "b"], [0.25] * 3)
    assert fine.images[1] == "s.tif@30,20.5"
    coarse = slide_source(SLIDE, POINTS, CropSpec(64.0, 128, 0.25, 0.2))
    assert coarse.mpp == [0.5] * 3
    first: Any = next(coarse.figures()).pixels()
    assert first == ((10.0, 10.0), {"side_um": pytest.approx(1.1 * 64 + 4 * 0.5), "level": 1})


def test_rows_in_any_order_come_back_in_that_of_the_points() -> None:
    rows = InPointsOrder(POINTS, SLIDE)
    rows.write(predicted("c", "a"))
    frame = rows.frame()
    assert list(frame["figure_id"]) == ["a", "c"]  # b was not predicted
    assert list(frame["p_atypical"]) == [0.097, 0.099]
    assert list(frame["image"]) == ["s.tif@10,10", "s.tif@30,20.5"]
    assert list(frame["phase"]) == ["early", "early"]
    assert list(frame["in_scope"]) == [True, True]
    rows.write(predicted("b", refer=True))
    assert list(rows.frame()["scope_reason"]) == ["", "ink", ""]


def test_the_density_counts_figures_inside_the_area_only() -> None:
    rows = InPointsOrder(POINTS, SLIDE)
    rows.write(predicted("a", "b"))
    rows.write(predicted("c", call="normal", refer=True))
    frame, area = rows.frame(), shapely.box(0, 0, 100, 100)
    counts = count_figures(frame, 4, area_mm2=2.0, area=area)
    assert (counts.figures, counts.atypical, counts.referred, counts.failed) == (3, 2, 1, 4)
    assert counts.density == pytest.approx(1 / 2.0)
    assert count_figures(frame, 0, area_mm2=2.0, area=None).density == pytest.approx(2 / 2.0)
    assert count_figures(frame, 0, area_mm2=None, area=area).density is None


def test_a_referred_figure_has_a_class_of_its_own() -> None:
    names = [name_class(call, refer) for call in ("normal", "atypical") for refer in (False, True)]
    assert names == ["Normal mitosis", "Refer", "Atypical mitosis", "Refer"]


@pytest.mark.parametrize(("name", "near"), [("p.geojsn", "p.geojson"), ("p.parqet", "p.parquet")])
def test_an_unknown_ending_offers_the_nearest(tmp_path: Path, name: str, near: str) -> None:
    with pytest.raises(AtypiaError, match=f"call it {near}"):
        require_slide_ending(tmp_path / name)
    for ending in (".geojson", ".GeoJSON.gz", ".midog.json", ".csv"):
        require_slide_ending(tmp_path / f"p{ending}")
