"""Points on a slide are classified as their crops are, and QuPath gets its objects back."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from typer.testing import CliRunner

import atypia
from atypia.cli.main import app
from atypia.data.case_summary import Counts
from atypia.data.images import read_image
from atypia.data.points.open_points import open_points
from atypia.data.points.qupath_results import outline_hotspot
from atypia.errors import AtypiaError
from atypia.inference.options import PredictOptions
from atypia.inference.record import RunRecord
from atypia.workflows.predict import predict
from atypia.workflows.slide import PointsChoice, predict_slide
from qupath_files import ID
from qupath_parser import qupath_reads
from store_files import mitosis, write_store

SIDE, ACROSS = 40, 4


@pytest.fixture(scope="module")
def slide(crop_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve crops of 40 px, side by side in rows of four, 0.25 um/px, with a level of 0.5."""
    crops = [read_image(crop_folder / f"{number}.png") for number in range(1, 13)]
    rows = [np.hstack(crops[first : first + ACROSS]) for first in range(0, 12, ACROSS)]
    level0 = np.vstack(rows)
    high, wide = level0.shape[:2]
    half = level0.reshape(high // 2, 2, wide // 2, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    path = tmp_path_factory.mktemp("slide") / "case.tif"
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate((level0, half)):
            per_cm = 1e4 / (0.25 * 2**number)
            file.write(
                level,
                tile=(64, 64),
                photometric="rgb",
                subfiletype=int(number > 0),
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
            )
    return path


def _centres() -> list[tuple[float, float]]:
    return [
        ((number % ACROSS + 0.5) * SIDE, (number // ACROSS + 0.5) * SIDE) for number in range(12)
    ]


@pytest.fixture
def points(tmp_path: Path) -> Path:
    """The crops' centres as QuPath has them: six points, and six in one object."""
    places = _centres()
    features: list[dict] = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": place},
            "properties": {"objectType": "annotation", "name": f"n{number}"},
        }
        for number, place in enumerate(places[:6])
    ]
    features.append(
        {
            "type": "Feature",
            "geometry": {"type": "MultiPoint", "coordinates": places[6:]},
            "properties": {"classification": "Mitosis"},
        }
    )
    path = tmp_path / "points.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture(scope="module")
def of_crops(
    crop_folder: Path, small_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> np.ndarray:
    out = tmp_path_factory.mktemp("crops") / "p.csv"
    predict([crop_folder], out, bundle=small_bundle, mpp=0.25, precision="fp32", threads=1)
    return pd.read_csv(out)["p_atypical"].to_numpy()


def _predict(
    slide: Path, points: Path, out: Path, bundle: Path, **given: Any
) -> tuple[RunRecord, Counts]:
    area_mm2 = given.pop("area_mm2", None)
    options = PredictOptions(bundle=bundle, precision="fp32", threads=1)
    choice = PointsChoice(**given)
    done = predict_slide(slide, points, out, area_mm2=area_mm2, options=options, choice=choice)
    return done.record, done.counts


def test_points_get_the_probabilities_of_their_crops(
    slide: Path, points: Path, small_bundle: Path, of_crops: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    record, _ = _predict(slide, points, out, small_bundle)
    found = pd.read_csv(out)["p_atypical"].to_numpy()
    assert of_crops.std() > 0.02
    np.testing.assert_allclose(found, of_crops, atol=1e-5)
    assert record.mpp_from == {"slide": 12}


def test_qupath_gets_its_objects_back(
    slide: Path, points: Path, small_bundle: Path, of_crops: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "classified.geojson"
    done = CliRunner().invoke(
        app,
        [
            *("slide", str(slide), "--points", str(points), "--bundle", str(small_bundle)),
            *("--out", str(out), "--precision", "fp32", "--threads", "1"),
        ],
    )
    assert done.exit_code == 0, done.output
    features = json.loads(out.read_text())["features"]
    said = [one["properties"]["measurements"]["P(atypical)"] for one in features]
    np.testing.assert_allclose(said, of_crops, atol=1e-5)
    assert [one["properties"].get("name") for one in features[:6]] == [f"n{n}" for n in range(6)]
    names = {one["properties"]["classification"]["name"] for one in features}
    assert names <= {"Normal mitosis", "Atypical mitosis", "Refer"}


def test_only_points_of_a_class_and_from_a_table(
    slide: Path, points: Path, small_bundle: Path, of_crops: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    _predict(slide, points, out, small_bundle, names=("Mitosis",))
    assert len(pd.read_csv(out)) == 6
    table = tmp_path / "points.csv"
    lines = [f"case,{x},{y}" for x, y in _centres()] + ["other,5,5"]
    table.write_text("\n".join(["slide,x,y", *lines]) + "\n")
    _predict(slide, table, out, small_bundle)
    np.testing.assert_allclose(pd.read_csv(out)["p_atypical"], of_crops, atol=1e-5)


def test_a_point_off_the_slide_is_named_and_the_others_go_on(
    slide: Path, small_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "points.csv"
    table.write_text("point_id,x,y\na,20,20\nb,5000,20\nc,nothing,3\nd,60,20\n")
    record, _ = _predict(slide, table, tmp_path / "out.geojson", small_bundle)
    assert (record.figures, record.predicted) == (4, 2)
    unreadable, outside = caplog.messages
    assert "row 4" in unreadable
    assert "x 5000, y 20 does not lie on the slide" in outside
    assert len(json.loads((tmp_path / "out.geojson").read_text())["features"]) == 2


def test_progress_ends_with_all_points_also_those_that_failed(
    slide: Path, small_bundle: Path, tmp_path: Path
) -> None:
    table = tmp_path / "points.csv"
    table.write_text("x,y\n20,20\nnothing,3\nnothing,4\n5000,20\n60,20\n")
    seen: list[tuple[int, int]] = []
    options = PredictOptions(bundle=small_bundle, precision="fp32", threads=1, batch_size=1)
    predict_slide(
        slide,
        table,
        tmp_path / "p.csv",
        options=options,
        on_progress=lambda task, done, of, note: seen.append((done, of)),
    )
    assert {of for _, of in seen} == {5}
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (5, 5)


@pytest.mark.parametrize("ending", ["geojson", "csv", "parquet", "json", "midog.json"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.geojson", '{"type": "FeatureCollection", "features": []}'),
        ("p.json", '{"images": [{"id": 1, "file_name": "case.tif"}], "annotations": []}'),
        ("p.csv", "slide,x,y\n"),
    ],
)
def test_a_slide_without_a_figure_is_a_result(
    slide: Path, small_bundle: Path, name: str, content: str, ending: str, tmp_path: Path
) -> None:
    points = tmp_path / name
    points.write_text(content)
    out = tmp_path / f"out.{ending}"
    options = PredictOptions(bundle=small_bundle, precision="fp32", threads=1)
    done = predict_slide(
        slide, points, out, area_mm2=2.0, options=options, pictures=tmp_path / "out"
    )
    assert done.counts == Counts(0, 0, 0, 0, 2.0, 0, 0)
    assert done.counts.density == 0
    assert all(file.is_file() for file in done.files)
    assert len(done.files) == 4


def test_a_slide_with_outlines_alone_is_searched_and_holds_no_figure(
    slide: Path, small_bundle: Path, tmp_path: Path
) -> None:
    corners = [[0, 0], [160, 0], [160, 40], [0, 40], [0, 0]]
    outline = {
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": {"classification": "Tumor"},
    }
    points, out = tmp_path / "p.geojson", tmp_path / "p.csv"
    points.write_text(json.dumps([outline]))
    for names in ((), ("Mitosis",)):
        _, counts = _predict(slide, points, out, small_bundle, area_class="Tumor", names=names)
        assert (counts.figures, counts.in_area, counts.density) == (0, 0, 0)
        assert counts.area_mm2 == pytest.approx(160 * 40 * 0.25**2 / 1e6)
    with pytest.raises(AtypiaError, match="no point of class Mitosis; its classes are 'Tumor': 1"):
        _predict(slide, points, out, small_bundle, names=("Mitosis",))


def test_hard_negatives_count_for_nothing_and_are_said(
    slide: Path, small_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table, out = tmp_path / "p.csv", tmp_path / "o.csv"
    table.write_text("id,x,y,class\n007,20,20,Mitosis\n8,60,20,Non-mitosis\n9,20,60,Mitosis\n")
    _, counts = _predict(slide, table, out, small_bundle, area_mm2=1.0)
    assert (counts.figures, counts.in_area) == (2, 2)
    assert pd.read_csv(out, dtype=str)["figure_id"].tolist() == ["007", "9"]
    assert "1 of 3 points are no mitosis by their class ('Non-mitosis': 1)" in caplog.messages[0]


def test_a_point_that_failed_has_nothing_of_an_earlier_run(
    slide: Path, small_bundle: Path, tmp_path: Path
) -> None:
    former = {
        "classification": {"name": "Refer", "color": [1, 2, 3]},
        "measurements": {
            "P(atypical)": 0.31,
            "Spread of members": 0.25,
            "In scope": 0,
            "Area": 3.0,
        },
        "metadata": {"Phase": "AMF other", "Scope": "ink"},
    }
    places = [[20, 20], [5000, 20]]
    features = [
        {"geometry": {"type": "Point", "coordinates": place}, "properties": former}
        for place in places
    ]
    points, out = tmp_path / "p.geojson", tmp_path / "o.geojson"
    points.write_text(json.dumps({"features": features, "name": "mine"}))
    options = PredictOptions(bundle=small_bundle, precision="fp32", threads=1, members=1)
    predict_slide(slide, points, out, options=options)
    document = json.loads(out.read_text())
    assert document["name"] == "mine"
    good, failed = (one["properties"] for one in document["features"])
    assert set(good["measurements"]) == {"P(atypical)", "In scope", "Area"}
    assert good["measurements"]["P(atypical)"] != 0.31
    assert failed == {"measurements": {"Area": 3.0}}


def test_points_of_another_slide_are_refused_and_doubled_ids_are_told(
    slide: Path, small_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "points.csv"
    table.write_text("x,y\n5000,20\n7000,20\n")
    with pytest.raises(AtypiaError, match="2 of 2 points do not lie on the slide of 160 x 120 px"):
        _predict(slide, table, tmp_path / "p.csv", small_bundle)
    one = {
        "id": "0b7b2c1e-2a54-4f0e-9a3b-6f6d5f2f7a10",
        "geometry": {"type": "Point", "coordinates": [20, 20]},
    }
    twice = tmp_path / "twice.geojson"
    twice.write_text(json.dumps([one, one]))
    record, _ = _predict(slide, twice, tmp_path / "p.csv", small_bundle)
    assert (record.predicted, len(record.failures)) == (2, 0)
    (line,) = caplog.messages
    assert "1 object ids occur more than once (the first: feature 2" in line


def test_without_openslide_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ("atypia.data.slides", "atypia.workflows.slide", "atypia.inference.slides")
    for module in [name for name in sys.modules if name.startswith(ours)]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(
        AtypiaError,
        match=r"^atypia\.predict_slide needs openslide, .*; pip install 'atypia\[slides\]'$",
    ):
        atypia.predict_slide  # noqa: B018


def test_midog_gets_its_millimetres_back(
    slide: Path, points: Path, small_bundle: Path, of_crops: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "case.midog.json"
    _predict(slide, points, out, small_bundle)
    document = json.loads(out.read_text())
    assert document["type"] == "Multiple points"
    np.testing.assert_allclose([one["probability"] for one in document["points"]], of_crops, 1e-4)
    again = open_points(out, slide, mpp=0.25).points
    np.testing.assert_allclose(again.frame[["x", "y"]], _centres())
    assert set(again.frame["name"]) <= {"normal", "atypical"}


def test_the_density_counts_figures_of_the_outlined_area_alone(
    slide: Path, points: Path, small_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    _, plain = _predict(slide, points, out, small_bundle, area_mm2=0.5)
    atypical = pd.read_csv(out)["call"] == "atypical"
    assert plain == Counts(12, int(atypical.sum()), plain.referred, 0, 0.5, 12, int(atypical.sum()))
    document = json.loads(points.read_text())
    # The first row of crops, and twice: what overlaps is one area.
    corners = [[0, 0], [160, 0], [160, 40], [0, 40], [0, 0]]
    document["features"] += [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [corners]},
            "properties": {"classification": {"name": "Tumor", "color": [1, 2, 3]}},
        }
    ] * 2
    outlined = tmp_path / "outlined.geojson"
    outlined.write_text(json.dumps(document))
    classes = ("", "Mitosis")
    _, counts = _predict(slide, outlined, out, small_bundle, names=classes, area_class="Tumor")
    assert counts.area_mm2 == pytest.approx(160 * 40 * 0.25**2 / 1e6)
    assert (counts.in_area, counts.atypical_in_area) == (4, int(atypical[:4].sum()))
    with pytest.raises(AtypiaError, match=r"no area of class Stroma; its areas .* 'Tumor'"):
        _predict(slide, outlined, out, small_bundle, area_class="Stroma")


def test_rows_come_in_the_order_of_the_points(
    slide: Path,
    small_bundle: Path,
    of_crops: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("atypia.inference.slides._BLOCK_PX", 50)  # else one block holds all
    table, out = tmp_path / "points.csv", tmp_path / "p.csv"
    order = np.random.default_rng(1).permutation(12)
    places = _centres()
    lines = [f"n{number},{places[number][0]},{places[number][1]}" for number in order]
    table.write_text("\n".join(["point_id,x,y", *lines]) + "\n")
    _predict(slide, table, out, small_bundle)
    found = pd.read_csv(out)
    assert list(found["figure_id"]) == [f"n{number}" for number in order]
    np.testing.assert_allclose(found["p_atypical"], of_crops[order], atol=1e-5)


def test_an_ending_of_no_known_format_is_refused(tmp_path: Path, small_bundle: Path) -> None:
    with pytest.raises(AtypiaError, match=r"the ending \.xls is not one of"):
        _predict(Path("a.tif"), Path("p.csv"), tmp_path / "p.xls", small_bundle)


def _with_tissue(points: Path, folder: Path) -> Path:
    """Add an outline of the searched tissue, 4 x 4 mm."""
    corners = [[0, 0], [16000, 0], [16000, 16000], [0, 16000], [0, 0]]
    document = json.loads(points.read_text())
    outline = {"type": "Polygon", "coordinates": [corners]}
    properties = {"objectType": "annotation", "classification": "Tissue"}
    tissue = {"type": "Feature", "id": ID, "geometry": outline, "properties": properties}
    path = folder / "tissue.geojson"
    path.write_text(json.dumps({**document, "features": [*document["features"], tissue]}))
    return path


def test_the_hotspot_is_outlined_for_qupath_and_replaced_by_the_next_run(
    slide: Path, points: Path, small_bundle: Path, tmp_path: Path
) -> None:
    options = PredictOptions(bundle=small_bundle, precision="fp32", threads=1)
    choice = PointsChoice(area_class="Tissue", hotspot=True)
    first, second = tmp_path / "first.geojson", tmp_path / "second.geojson"
    given = _with_tissue(points, tmp_path)
    done = predict_slide(slide, given, first, options=options, choice=choice)
    assert done.hotspot is not None
    counts = done.hotspot.counts
    assert (counts.figures, counts.atypical) == (12, done.counts.atypical)
    assert counts.area_mm2 == pytest.approx(2.37, abs=0.5)
    objects = qupath_reads(first)
    hotspot = objects[-1]
    assert (hotspot["type"], hotspot["class"]) == ("annotation", "Mitotic hotspot")
    assert hotspot["measurements"]["Figures"] == 12
    assert json.loads(first.read_text())["features"][-1]["properties"]["isLocked"]

    again = predict_slide(slide, first, second, options=options, choice=choice)
    assert again.hotspot == done.hotspot
    assert again.warnings == done.warnings
    assert len(qupath_reads(second)) == len(objects)


def test_what_lies_in_the_hotspot_of_an_earlier_run_stays(
    slide: Path, points: Path, small_bundle: Path, tmp_path: Path
) -> None:
    # QuPath may have put the figures inside of the outline ("Resolve hierarchy").
    document = json.loads(points.read_text())
    corners = [[0, 0], [8000, 0], [8000, 8000], [0, 8000], [0, 0]]
    former = {
        "type": "Feature",
        "id": outline_hotspot((0, 0, 1, 1), slide.name, {})["id"],
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": {
            "name": "Hotspot",
            "classification": "Mitotic hotspot",
            "childObjects": document["features"],
        },
    }
    nested = tmp_path / "nested.geojson"
    nested.write_text(json.dumps({"type": "FeatureCollection", "features": [former]}))
    drawn = {**former, "id": str(uuid.UUID(int=7))}  # by a person: it stays
    theirs, kept = tmp_path / "theirs.geojson", tmp_path / "kept.geojson"
    theirs.write_text(json.dumps({"type": "FeatureCollection", "features": [drawn]}))
    _predict(slide, theirs, kept, small_bundle)
    assert [one["id"] for one in json.loads(kept.read_text())["features"]] == [drawn["id"]]
    plain, out = tmp_path / "plain.geojson", tmp_path / "out.geojson"
    _predict(slide, points, plain, small_bundle)
    _, counts = _predict(slide, nested, out, small_bundle)
    assert counts.figures == 12
    assert [one["geometry"] for one in qupath_reads(out)] == [
        one["geometry"] for one in qupath_reads(plain)
    ]


def test_a_slide_that_is_too_small_has_no_hotspot_and_says_so(
    slide: Path, points: Path, small_bundle: Path, tmp_path: Path
) -> None:
    options = PredictOptions(bundle=small_bundle, precision="fp32", threads=1)
    choice = PointsChoice(hotspot=True)
    done = predict_slide(slide, points, tmp_path / "p.csv", options=options, choice=choice)
    assert done.hotspot is None
    assert "has no hotspot; no figure lies in a rectangle of 2.37 mm2" in done.warnings[-1]


def test_detections_of_tiatoolbox_come_out_with_both_probabilities(
    slide: Path, small_bundle: Path, of_crops: np.ndarray, tmp_path: Path
) -> None:
    golden = Path(__file__).parents[1] / "data" / "points" / "tiatoolbox_detections.json"
    store = write_store(tmp_path / "s.db", [mitosis(1, 20, 60, 0.9375), mitosis(2, 60, 60, 0.5)])
    for points in (golden, store):
        out = tmp_path / f"{points.stem}.geojson"
        _predict(slide, points, out, small_bundle)
        first, second = qupath_reads(out)[:2]
        for one, p, detected in ((first, of_crops[4], 0.9375), (second, of_crops[5], 0.5)):
            assert one["type"] == "detection"
            assert one["measurements"]["P(atypical)"] == pytest.approx(p, abs=1e-5)
            assert one["measurements"]["Detection probability"] == detected
