"""QuPath's objects: read as points, given back with what was found and all that they had."""

from __future__ import annotations

import gzip
import json
import zipfile
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from atypia.data.points import qupath
from atypia.data.points.classes import ClassFilter
from atypia.data.points.document import Features, read_document
from atypia.data.points.qupath import QuPathFile
from atypia.data.points.qupath_object import stable_id
from atypia.data.points.qupath_results import (
    ObjectType,
    PointResult,
    write_features,
)
from atypia.errors import TableError
from qupath_files import ID, SQUARE, collection_of, feature_of, point_at, read_objects, saved
from qupath_parser import qupath_reads


def with_findings(
    file: QuPathFile, results: Sequence[PointResult | None], kind: ObjectType | None = None
) -> Iterator[dict]:
    return file.give_back(results, "any.svs", kind)


ATYPICAL = PointResult(
    "Atypical mitosis", (200, 0, 0), {"P(atypical)": 0.93, "spread": float("nan")}
)


def test_points_areas_and_several_points_in_one(tmp_path: Path) -> None:
    many = {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}
    several = {"type": "GeometryCollection", "geometries": [SQUARE]}
    path = saved(
        tmp_path / "a.geojson",
        collection_of(
            {**point_at(7.5, 8, classification={"name": "Mitosis", "color": [1, 2, 3]}), "id": ID},
            feature_of(many, classification="Mitosis"),
            feature_of(SQUARE, classification={"names": ["Tumour", "Edge"], "color": [0, 0, 0]}),
            feature_of(several),
        ),
    )
    frame = read_objects(path).points.frame
    np.testing.assert_allclose(frame["x"], [7.5, 1, 3, 5, 5])
    np.testing.assert_allclose(frame["y"], [8, 2, 4, 10, 10])
    assert frame["name"].tolist() == ["Mitosis", "Mitosis", "Mitosis", "Tumour: Edge", ""]
    assert frame["feature"].tolist() == [0, 1, 1, 2, 3]
    assert frame["point_id"][0] == ID
    assert frame["point_id"].is_unique
    assert read_objects(path).points.frame["point_id"].equals(frame["point_id"])
    assert read_objects(path, names=["Mitosis"]).points.frame["feature"].tolist() == [0, 1, 1]


@pytest.mark.parametrize("form", ["collection", "list", "feature", "gz", "zip", "bom"])
def test_every_form_that_qupath_writes(tmp_path: Path, form: str) -> None:
    content = {"list": [point_at(1, 2)], "feature": point_at(1, 2)}.get(
        form, collection_of(point_at(1, 2))
    )
    path = saved(tmp_path / "a.geojson", content)
    if form == "gz":
        path = tmp_path / "a.geojson.gz"
        path.write_bytes(gzip.compress((tmp_path / "a.geojson").read_bytes()))
    if form == "zip":
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "a.geojson", "inside/a.geojson")
    if form == "bom":
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_objects(path).points.frame[["x", "y"]].to_numpy().tolist() == [[1.0, 2.0]]


def test_what_cannot_be_used_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(
        """[{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}},
            {"type": "Feature", "geometry": null},
            {"type": "Feature", "geometry": {"type": "Circle", "coordinates": [1, 2]}},
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [NaN, 2]}},
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": ["a", 2]}},
            {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": []}},
            {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[[1, 2]]]]}},
            7]"""
    )
    points = read_objects(path).points
    assert len(points) == 1
    assert len(points.failures) == 7
    for number in range(2, 9):
        assert sum(f"feature {number}:" in line for line in points.failures) == 1
    assert all(line.startswith(f"{path}, ") and "\n" not in line for line in points.failures)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"type": "FeatureCollection", "features": [{"type": "Fea', "not valid JSON from line 1"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"{}", "expected a FeatureCollection"),
        (b"3", "expected a FeatureCollection"),
        (b"[" * 100_000, "nested too deeply"),
        (
            b'[{"geometry": null}, {"geometry": null}, 7]',
            r"no usable point \(no geometry: 2, no object: 1\); the first: feature 1: has",
        ),
    ],
)
def test_a_file_that_is_no_use_is_refused_in_one_line(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "a.geojson"
    path.write_bytes(content)
    with pytest.raises(TableError, match=said) as refused:
        read_objects(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["a.zip", "a.geojson.gz"])
def test_a_broken_archive_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(TableError, match="cannot be read"):
        read_objects(path)


def test_nested_geometries_are_one_place_and_nested_collections_are_read(tmp_path: Path) -> None:
    inner = {"type": "GeometryCollection", "geometries": [SQUARE]}
    nested = {"type": "GeometryCollection", "geometries": [inner, SQUARE]}
    path = saved(
        tmp_path / "a.geojson", collection_of(feature_of(nested), collection_of(point_at(1, 2)))
    )
    points = read_objects(path).points
    np.testing.assert_allclose(points.frame[["x", "y"]], [[5, 10], [1, 2]])
    assert points.failures == ()


@pytest.mark.parametrize("depth", [100, 300, 900])
@pytest.mark.parametrize("where", ["geometry", "coordinates", "feature", "properties"])
def test_no_depth_of_nesting_ends_the_others(where: str, depth: int, tmp_path: Path) -> None:
    deep = "[" * depth + "1" + "]" * depth
    collection = '{"type": "GeometryCollection", "geometries": ['
    feature = {
        "geometry": f'{{"geometry": {collection * depth}{"]}" * depth}}}',
        "coordinates": f'{{"geometry": {{"type": "Polygon", "coordinates": {deep}}}}}',
        "feature": deep,
        "properties": f'{{"geometry": {json.dumps(SQUARE)}, "properties": {{"a": {deep}}}}}',
    }[where]
    path = tmp_path / "a.geojson"
    path.write_text(f"[{json.dumps(point_at(1, 2))}, {feature}]")
    try:
        objects = read_objects(path)
    except TableError as fault:
        assert depth > 300
        assert "nested too deeply" in str(fault)
        return
    assert len(objects.points) + len(objects.points.failures) == 2
    assert all("\n" not in line for line in objects.points.failures)
    write_features(
        tmp_path / "out.geojson", with_findings(objects, [ATYPICAL] * len(objects.points))
    )


def test_two_objects_of_one_id_are_told_apart_and_told(tmp_path: Path) -> None:
    twice = [
        {**point_at(1, 2), "id": ID},
        {**point_at(3, 4), "id": ID},
        {**point_at(1, 2), "id": ID},
    ]
    many = feature_of({"type": "MultiPoint", "coordinates": [[5, 6], [5, 6]]})
    path = saved(tmp_path / "a.geojson", collection_of(*twice, many))
    objects = read_objects(path)
    points = objects.points
    assert len(points) == 5
    assert points.frame["point_id"][0] == ID
    assert points.failures == ()
    (line,) = points.warnings
    assert f"2 object ids occur more than once (the first: feature 2, {ID})" in line
    assert read_objects(path).points.frame.equals(points.frame)
    write_features(tmp_path / "out.geojson", with_findings(objects, [ATYPICAL] * 5))
    assert len(qupath_reads(tmp_path / "out.geojson")) == 5


OURS = {"P(atypical)": 0.31, "Spread of members": 0.25}


@pytest.mark.parametrize("form", ["objects", "text"])
def test_objects_inside_of_others_are_read_and_stay_where_they_are(
    tmp_path: Path, form: str
) -> None:
    many = feature_of({"type": "MultiPoint", "coordinates": [[5, 6], [7, 8]]}, classification="M")
    inner = feature_of(SQUARE, classification="Tumor", childObjects=[many])
    inside: object = [inner, {**point_at(1, 2, classification="M"), "id": ID}, point_at(0, 0)]
    if form == "text":
        inside = json.dumps(inside)
    outer = feature_of(SQUARE, classification="Tumor", childObjects=inside)
    path = saved(
        tmp_path / "a.geojson",
        collection_of(outer, collection_of(point_at(9, 9, classification="M"))),
    )
    objects = read_objects(path, ["M"])
    assert objects.points.frame["x"].tolist() == [5, 7, 1, 9]
    findings = [PointResult(f"F{n}", (0, 0, 0), {}) for n in range(4)]
    tumour, collection = with_findings(objects, findings)
    square, point, other = tumour["properties"]["childObjects"]
    assert point["id"] == ID
    assert other == point_at(0, 0)
    assert [of["geometry"]["coordinates"] for of in square["properties"]["childObjects"]] == [
        *([5, 6], [7, 8]),
    ]
    named = [*square["properties"]["childObjects"], point, *collection["features"]]
    names = [of["properties"]["classification"]["name"] for of in named]
    assert names == ["F0", "F1", "F2", "F3"]
    assert tumour["properties"]["classification"] == "Tumor"


def test_outlines_too_large_for_a_figure_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    wide = {"type": "Polygon", "coordinates": [[[0, 0], [401, 0], [401, 9], [0, 9], [0, 0]]]}
    path = saved(tmp_path / "a.geojson", [feature_of(SQUARE), feature_of(wide, classification="T")])
    document = read_document(path)
    points = qupath.read_objects(path, document, mpp=0.25).points
    assert len(points) == 1
    assert "1 outlines are larger than 100 um ('T': 1)" in points.warnings[0]
    assert len(qupath.read_objects(path, document, mpp=0.24).points) == 2
    assert len(qupath.read_objects(path, document, ClassFilter(("T",)), mpp=0.25).points) == 1


def test_a_file_without_objects_is_a_slide_without_figures(tmp_path: Path) -> None:
    for content in (collection_of(), []):
        assert len(read_objects(saved(tmp_path / "a.geojson", content)).points) == 0
    path = saved(tmp_path / "a.geojson", [feature_of(SQUARE, classification="T")])
    objects = read_objects(path, ["Mitosis"])
    assert len(objects.points) == 0
    (tumour,) = with_findings(objects, [])
    assert tumour == feature_of(SQUARE, classification="T")


@pytest.mark.parametrize(
    "classification",
    ["\udffe", {"name": "\udffe"}, {"name": ["\udffe"]}, {"names": ["\udffe"]}, '["\\udffe"]'],
)
def test_half_a_character_in_a_class_is_written_as_its_number(
    tmp_path: Path, classification: object
) -> None:
    feature = point_at(1, 2, classification=classification)
    objects = read_objects(saved(tmp_path / "a.geojson", [feature]))
    assert objects.points.frame["name"].tolist() == ["\\udffe"]
    assert objects.points.classes == {"\\udffe": 1}


def test_half_a_character_in_a_failure_can_be_written(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.geojson", [point_at(1, 2), feature_of("\ud800"), "\ud800"])
    lines = read_objects(path).points.failures
    assert len(lines) == 2
    for line in lines:
        assert "\\ud800" in line
        line.encode("utf-8")


def test_a_file_whose_name_is_no_utf8_gives_its_points_ids() -> None:
    # What Python makes of the byte ff in a name; not every file system has such names.
    document = Features(json.dumps(point_at(1, 2)), array("q", [0]))
    points = qupath.read_objects(Path("\udcff.geojson"), document).points
    (point_id,) = points.frame["point_id"]
    assert point_id == stable_id("\\udcff.geojson", 1, 2)
