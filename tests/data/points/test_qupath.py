"""QuPath's objects: read as points, given back with what was found and all that they had."""

from __future__ import annotations

import gzip
import json
import uuid
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from qupath_parser import qupath_reads

from atypia.data.points import qupath
from atypia.data.points.classes import ClassFilter
from atypia.data.points.document import read_document
from atypia.data.points.qupath import (
    Finding,
    Objects,
    new_features,
    with_findings,
    write_features,
)
from atypia.data.points.table import points_of
from atypia.errors import TableError


def read_objects(path: Path, names: Sequence[str] = ()) -> Objects:
    return qupath.read_objects(path, read_document(path), ClassFilter(tuple(names)))


ID = "0b7b2c1e-2a54-4f0e-9a3b-6f6d5f2f7a10"
ATYPICAL = Finding("Atypical mitosis", (200, 0, 0), {"P(atypical)": 0.93, "spread": float("nan")})


def _feature(geometry: object, **properties: object) -> dict:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _point(x: float, y: float, **properties: object) -> dict:
    return _feature({"type": "Point", "coordinates": [x, y]}, **properties)


SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 20], [0, 20], [0, 0]]]}


def _saved(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _collection(*features: object) -> dict:
    return {"type": "FeatureCollection", "features": list(features)}


def test_points_areas_and_several_points_in_one(tmp_path: Path) -> None:
    many = {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}
    several = {"type": "GeometryCollection", "geometries": [SQUARE]}
    path = _saved(
        tmp_path / "a.geojson",
        _collection(
            {**_point(7.5, 8, classification={"name": "Mitosis", "color": [1, 2, 3]}), "id": ID},
            _feature(many, classification="Mitosis"),
            _feature(SQUARE, classification={"names": ["Tumour", "Edge"], "color": [0, 0, 0]}),
            _feature(several),
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
    content = {"list": [_point(1, 2)], "feature": _point(1, 2)}.get(form, _collection(_point(1, 2)))
    path = _saved(tmp_path / "a.geojson", content)
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
        (b'{"type": "FeatureCollection", "features": [{"type": "Fea', "no JSON from line 1"),
        (b"\xff\xfe\x00", "is no text in UTF-8"),
        (b"{}", "expected a FeatureCollection"),
        (b"3", "expected a FeatureCollection"),
        (b"[" * 100_000, "nested too deeply"),
        (
            b'[{"geometry": null}, {"geometry": null}, 7]',
            r"can be used \(no geometry: 2, no object: 1\); the first: feature 1: has",
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


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        ({"type": "Circle", "coordinates": [1, 2]}, "geometry Circle cannot be read"),
        ({"coordinates": [1, 2]}, "geometry None cannot be read"),
        ({"type": "Point"}, "geometry Point cannot be read"),
        ({"type": "Point", "coordinates": []}, "geometry Point cannot be read"),
        ({"type": "Point", "coordinates": ["1", 2]}, "expected two numbers, found ['1', 2]"),
        ({"type": "Point", "coordinates": "12"}, "expected two numbers"),
        ({"type": "Point", "coordinates": [True, 2]}, "expected two numbers"),
        ({"type": "Point", "coordinates": [10**400, 2]}, "geometry Point cannot be read"),
        ({"type": "MultiPoint", "coordinates": []}, "geometry MultiPoint is empty"),
        ({"type": "MultiPoint", "coordinates": [1, 2]}, "geometry MultiPoint cannot be read"),
        ({"type": "GeometryCollection", "geometries": []}, "GeometryCollection is empty"),
        ([1, 2], "has no geometry but [1, 2]"),
    ],
)
def test_a_geometry_that_is_none_is_named(geometry: object, said: str, tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.geojson", _collection(_point(1, 2), _feature(geometry)))
    points = read_objects(path).points
    assert len(points) == 1
    (line,) = points.failures
    assert line.startswith(f"{path}, feature 2: ")
    assert said in line
    assert line.endswith("; left out")
    assert "\n" not in line


def test_a_point_may_have_a_height_and_no_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(
        """[{"geometry": {"type": "Point", "coordinates": [1, 2, 3]}},
            {"geometry": {"type": "Point", "coordinates": [NaN, 2]}},
            {"geometry": {"type": "Point", "coordinates": [1e999, 2]}}]"""
    )
    points = read_objects(path).points
    assert points.frame[["x", "y"]].to_numpy().tolist() == [[1.0, 2.0]]
    assert [line.split(": ")[1] for line in points.failures] == [
        "x nan, y 2.0 is no place on a slide; give finite numbers",
        "x inf, y 2.0 is no place on a slide; give finite numbers",
    ]


def test_nested_geometries_are_one_place_and_nested_collections_are_read(tmp_path: Path) -> None:
    inner = {"type": "GeometryCollection", "geometries": [SQUARE]}
    nested = {"type": "GeometryCollection", "geometries": [inner, SQUARE]}
    path = _saved(tmp_path / "a.geojson", _collection(_feature(nested), _collection(_point(1, 2))))
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
    path.write_text(f"[{json.dumps(_point(1, 2))}, {feature}]")
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
    twice = [{**_point(1, 2), "id": ID}, {**_point(3, 4), "id": ID}, {**_point(1, 2), "id": ID}]
    many = _feature({"type": "MultiPoint", "coordinates": [[5, 6], [5, 6]]})
    path = _saved(tmp_path / "a.geojson", _collection(*twice, many))
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


def test_an_object_comes_back_with_all_that_it_had(tmp_path: Path) -> None:
    given = _point(
        1.5,
        2,
        objectType="annotation",
        name="one of Eva's",
        isLocked=True,
        classification={"name": "Mitosis", "color": [1, 2, 3]},
        measurements={"Area": 3.5, "P(atypical)": 0.1},
        metadata={"ours": "theirs"},
    )
    path = _saved(
        tmp_path / "a.geojson", _collection({**given, "id": ID, "foreign": 1}, _feature(None))
    )
    objects = read_objects(path)
    features = list(with_findings(objects, [ATYPICAL]))
    assert features[1] == objects.features[1]
    assert features[0]["foreign"] == 1
    assert features[0]["id"] == ID
    properties = features[0]["properties"]
    assert properties["measurements"] == {"Area": 3.5, "P(atypical)": 0.93}
    assert properties["classification"] == {"name": "Atypical mitosis", "color": [200, 0, 0]}
    same = ("name", "isLocked", "metadata", "objectType")
    assert all(properties[key] == given["properties"][key] for key in same)
    assert objects.features[0]["properties"]["measurements"]["P(atypical)"] == 0.1


def test_qupath_reads_what_is_written_and_again_the_same(tmp_path: Path) -> None:
    many = {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}
    old = [{"name": "Area", "value": 2.0}, {"name": "spread", "value": 1.0}]
    path = _saved(
        tmp_path / "a.geojson",
        [
            {
                **_point(7, 8, object_type="detection", measurements=old),
                "id": "PathAnnotationObject",
            },
            {**_feature(many, name="two"), "id": ID},
            _feature(SQUARE, classification="Mitosis"),
        ],
    )
    objects = read_objects(path)
    findings = [
        Finding("Normal mitosis", (0, 128, 0), {"P(atypical)": 0.1 * n, "spread": 0.01 * n})
        for n in range(4)
    ]
    out = tmp_path / "out.geojson"
    write_features(out, list(with_findings(objects, findings, "detection")))
    found = qupath_reads(out)
    assert [one["measurements"]["P(atypical)"] for one in found] == pytest.approx(
        [0, 0.1, 0.2, 0.3]
    )
    assert [one["class"] for one in found] == ["Normal mitosis"] * 4
    assert [one["type"] for one in found] == ["detection"] * 4
    assert [one["name"] for one in found] == [None, "two", "two", None]
    assert found[0]["measurements"] == {"Area": 2.0, "P(atypical)": 0.0, "spread": 0.0}
    assert [one["geometry"]["type"] for one in found] == ["Point", "Point", "Point", "Polygon"]
    write_features(tmp_path / "again.geojson", with_findings(read_objects(out), findings))
    assert [one["id"] for one in qupath_reads(tmp_path / "again.geojson")] == [
        one["id"] for one in found
    ]


def test_points_from_elsewhere_become_objects_of_the_same_ids_every_time(tmp_path: Path) -> None:
    rows = [
        {"point_id": str(n), "x": 10.0 * n, "y": 5.0, "name": "", "place": "row"} for n in range(3)
    ]
    points = points_of(Path("points.csv"), rows, [])
    once = list(new_features(points, [ATYPICAL] * 3, "slide.svs", "annotation"))
    write_features(tmp_path / "out.geojson.gz", once)
    (tmp_path / "out.geojson").write_bytes(
        gzip.decompress((tmp_path / "out.geojson.gz").read_bytes())
    )
    found = qupath_reads(tmp_path / "out.geojson")
    assert [one["type"] for one in found] == ["annotation"] * 3
    assert [one["measurements"] for one in found] == [{"P(atypical)": 0.93}] * 3
    assert [uuid.UUID(one["id"]).version for one in once] == [5] * 3
    assert list(new_features(points, [ATYPICAL] * 3, "slide.svs", "annotation")) == once
    other = list(new_features(points, [ATYPICAL] * 3, "other.svs", "annotation"))
    assert {one["id"] for one in other}.isdisjoint(one["id"] for one in once)


OURS = {"P(atypical)": 0.31, "Spread of members": 0.25}


@pytest.mark.parametrize("form", ["object", "list", "text"])
def test_nothing_of_an_earlier_run_stays_beside_todays(tmp_path: Path, form: str) -> None:
    measured: object = {"Area": 3.5, **OURS}
    if form == "list":
        measured = [{"name": name, "value": value} for name, value in {"Area": 3.5, **OURS}.items()]
    metadata: object = {"Phase": "AMF other", "theirs": "kept"}
    given = {"classification": {"name": "Refer", "color": [1, 2, 3]}, "name": "theirs"}
    if form == "text":
        measured, metadata = json.dumps(measured), json.dumps(metadata)
        given["classification"] = json.dumps(given["classification"])
    given |= {"measurements": measured, "metadata": metadata}
    path = _saved(
        tmp_path / "a.geojson",
        _collection(_point(1, 2, **given), _point(3, 4, **given), _feature(None, **given)),
    )
    objects = read_objects(path)
    one, failed, unread = (
        of["properties"] for of in with_findings(objects, [ATYPICAL, None], "annotation")
    )
    assert one["classification"]["name"] == "Atypical mitosis"
    assert failed.pop("objectType") == "annotation"
    assert failed == unread
    assert failed == {
        "name": "theirs",
        "measurements": [{"name": "Area", "value": 3.5}] if form == "list" else {"Area": 3.5},
        "metadata": {"theirs": "kept"},
    }
    words = {of["name"] for of in one["measurements"]} if form == "list" else {*one["measurements"]}
    assert words == {"Area", "P(atypical)"}
    assert one["metadata"] == {"theirs": "kept"}


def test_what_somebody_else_wrote_stays(tmp_path: Path) -> None:
    theirs = {
        "classification": {"name": "Atypical mitosis", "color": [1, 2, 3]},
        "measurements": {"Area": 3.5},
        "metadata": {"Phase": "metaphase"},
    }
    ours = {**theirs, "measurements": OURS, "classification": "Tumor"}
    path = _saved(tmp_path / "a.geojson", _collection(_point(1, 2, **theirs), _point(3, 4, **ours)))
    failed, not_asked = with_findings(read_objects(path, ["Atypical mitosis"]), [None])
    assert failed["properties"] == theirs
    assert not_asked == _point(3, 4, **ours)


def test_the_type_in_an_old_id_is_kept(tmp_path: Path) -> None:
    old = {"PathDetectionObject": "detection", "PathCellObject": "cell", "TMACoreObject": "tmaCore"}
    features = [{**_point(n, n), "id": name} for n, name in enumerate(old)]
    said = {**_point(9, 9, objectType="annotation"), "id": "PathTileObject"}
    named = {**_point(10, 10), "id": "m-17"}
    path = _saved(tmp_path / "a.geojson", _collection(*features, said, named))
    write_features(tmp_path / "o.geojson", with_findings(read_objects(path), [ATYPICAL] * 5))
    found = qupath_reads(tmp_path / "o.geojson")
    assert [of["type"] for of in found] == [*old.values(), "annotation", "annotation"]
    last = json.loads((tmp_path / "o.geojson").read_text())["features"][-1]
    assert last["properties"]["id"] == "m-17"


@pytest.mark.parametrize("own", [ID, ID.upper()])
def test_an_id_stays_to_the_letter_also_where_a_gis_library_put_it(
    own: str, tmp_path: Path
) -> None:
    path = _saved(
        tmp_path / "a.geojson", _collection({**_point(1, 2), "id": own}, _point(3, 4, id=own[::-1]))
    )
    objects = read_objects(path)
    assert objects.points.frame["point_id"][0] == own
    path = _saved(tmp_path / "a.geojson", _collection(_point(3, 4, id=own)))
    (feature,) = with_findings(read_objects(path), [ATYPICAL])
    assert feature["id"] == own


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ('{"name": "Mitosis", "color": [255, 0, 0]}', "Mitosis"),
        ('{"names": ["Tumour", "Edge"]}', "Tumour: Edge"),
        ("Mitosis", "Mitosis"),
        ("{Mitosis", "{Mitosis"),
        (["Tumour", "Edge"], "Tumour: Edge"),
        ({"name": None}, ""),
        (None, ""),
    ],
)
def test_a_class_is_known_in_every_form(given: object, name: str, tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.geojson", _collection(_point(1, 2, classification=given)))
    assert read_objects(path).points.frame["name"].tolist() == [name]


def test_points_of_one_object_keep_its_plane_and_their_height(tmp_path: Path) -> None:
    plane = {"c": -1, "z": 3, "t": 1}
    many = {"type": "MultiPoint", "coordinates": [[1, 2, 5], [3, 4]], "plane": plane, "bbox": [0]}
    inside = [{"type": "Point", "coordinates": [5, 6]}, {"type": "Point", "coordinates": [7, 8]}]
    several = {"type": "GeometryCollection", "geometries": inside, "plane": plane}
    path = _saved(tmp_path / "a.geojson", _collection(_feature(many), _feature(several)))
    objects = read_objects(path)
    np.testing.assert_allclose(objects.points.frame["x"], [1, 3, 5, 7])
    found = [of["geometry"] for of in with_findings(objects, [ATYPICAL] * 4)]
    places = [[1, 2, 5], [3, 4], [5, 6], [7, 8]]
    assert found == [{"type": "Point", "coordinates": at, "plane": plane} for at in places]


@pytest.mark.parametrize("form", ["objects", "text"])
def test_objects_inside_of_others_are_read_and_stay_where_they_are(
    tmp_path: Path, form: str
) -> None:
    many = _feature({"type": "MultiPoint", "coordinates": [[5, 6], [7, 8]]}, classification="M")
    inner = _feature(SQUARE, classification="Tumor", childObjects=[many])
    inside: object = [inner, {**_point(1, 2, classification="M"), "id": ID}, _point(0, 0)]
    if form == "text":
        inside = json.dumps(inside)
    outer = _feature(SQUARE, classification="Tumor", childObjects=inside)
    path = _saved(
        tmp_path / "a.geojson", _collection(outer, _collection(_point(9, 9, classification="M")))
    )
    objects = read_objects(path, ["M"])
    assert objects.points.frame["x"].tolist() == [5, 7, 1, 9]
    findings = [Finding(f"F{n}", (0, 0, 0), {}) for n in range(4)]
    tumour, collection = with_findings(objects, findings)
    square, point, other = tumour["properties"]["childObjects"]
    assert point["id"] == ID
    assert other == _point(0, 0)
    assert [of["geometry"]["coordinates"] for of in square["properties"]["childObjects"]] == [
        *([5, 6], [7, 8]),
    ]
    named = [*square["properties"]["childObjects"], point, *collection["features"]]
    names = [of["properties"]["classification"]["name"] for of in named]
    assert names == ["F0", "F1", "F2", "F3"]
    assert tumour["properties"]["classification"] == "Tumor"


def test_objects_that_are_nested_without_end_are_named(tmp_path: Path) -> None:
    feature = _point(1, 2)
    for _ in range(60):
        feature = _point(1, 2, childObjects=[feature])
    objects = read_objects(_saved(tmp_path / "a.geojson", [feature]))
    assert "holds objects that are nested more than 50 deep" in objects.points.failures[0]
    (back,) = with_findings(objects, [None] * len(objects.points))
    assert json.dumps(back).count('"Point"') == 61


def test_the_collections_own_members_come_back(tmp_path: Path) -> None:
    members = {"crs": {"type": "name"}, "name": "Größe", "bbox": [0, 0, 1, 1]}
    path = _saved(tmp_path / "a.geojson", {**_collection(_point(1, 2)), **members})
    objects = read_objects(path)
    write_features(tmp_path / "o.geojson", with_findings(objects, [None]), objects.features.members)
    document = json.loads((tmp_path / "o.geojson").read_text(encoding="utf-8"))
    assert document.pop("type") == "FeatureCollection"
    assert len(document.pop("features")) == 1
    assert document == members


def test_outlines_too_large_for_a_figure_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    wide = {"type": "Polygon", "coordinates": [[[0, 0], [401, 0], [401, 9], [0, 9], [0, 0]]]}
    path = _saved(tmp_path / "a.geojson", [_feature(SQUARE), _feature(wide, classification="T")])
    document = read_document(path)
    points = qupath.read_objects(path, document, mpp=0.25).points
    assert len(points) == 1
    assert "1 outlines are larger than 100 um ('T': 1)" in points.warnings[0]
    assert len(qupath.read_objects(path, document, mpp=0.24).points) == 2
    assert len(qupath.read_objects(path, document, ClassFilter(("T",)), mpp=0.25).points) == 1


def test_a_file_without_objects_is_a_slide_without_figures(tmp_path: Path) -> None:
    for content in (_collection(), []):
        assert len(read_objects(_saved(tmp_path / "a.geojson", content)).points) == 0
    path = _saved(tmp_path / "a.geojson", [_feature(SQUARE, classification="T")])
    objects = read_objects(path, ["Mitosis"])
    assert len(objects.points) == 0
    (tumour,) = with_findings(objects, [])
    assert tumour == _feature(SQUARE, classification="T")


def test_half_a_character_comes_back(tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.geojson", [_point(1, 2, name="\ud83d", classification="é")])
    write_features(tmp_path / "o.geojson", with_findings(read_objects(path), [None]))
    (feature,) = json.loads((tmp_path / "o.geojson").read_text(encoding="utf-8"))["features"]
    assert feature["properties"]["name"] == "\ud83d"


def test_what_is_read_without_a_fault_can_be_written(tmp_path: Path) -> None:
    def write_below(frames: int, objects: Objects) -> None:
        if frames:
            write_below(frames - 1, objects)
        else:
            write_features(tmp_path / "o.geojson", with_findings(objects, [ATYPICAL]))

    for depth in range(700, 1000, 5):  # about where Python's stack ends, if it does
        deep = "[" * depth + "]" * depth
        path = tmp_path / "a.geojson"
        path.write_text(f'[{{"geometry": {json.dumps(SQUARE)}, "properties": {{"a": {deep}}}}}]')
        try:
            objects = read_objects(path)
        except TableError as fault:
            assert "nested too deeply" in str(fault)
            continue
        write_below(20, objects)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"\.geojson"):
        write_features(tmp_path / "out.csv", [])
