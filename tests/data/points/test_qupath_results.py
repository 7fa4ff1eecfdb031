"""QuPath's objects given back: what was found, and all that they had."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from qupath_files import ID, SQUARE, collection_of, feature_of, point_at, read_objects, saved
from qupath_parser import qupath_reads

from atypia.data.points.qupath import QuPathFile
from atypia.data.points.qupath_results import (
    ObjectType,
    PointResult,
    new_features,
    write_features,
)
from atypia.data.points.table import make_points
from atypia.errors import TableError


def with_findings(
    file: QuPathFile, results: Sequence[PointResult | None], kind: ObjectType | None = None
) -> Iterator[dict]:
    return file.give_back(results, "any.svs", kind)


ATYPICAL = PointResult(
    "Atypical mitosis", (200, 0, 0), {"P(atypical)": 0.93, "spread": float("nan")}
)


OURS = {"P(atypical)": 0.31, "Spread of members": 0.25}


def test_an_object_comes_back_with_all_that_it_had(tmp_path: Path) -> None:
    given = point_at(
        1.5,
        2,
        objectType="annotation",
        name="one of Eva's",
        isLocked=True,
        classification={"name": "Mitosis", "color": [1, 2, 3]},
        measurements={"Area": 3.5, "P(atypical)": 0.1},
        metadata={"ours": "theirs"},
    )
    path = saved(
        tmp_path / "a.geojson", collection_of({**given, "id": ID, "foreign": 1}, feature_of(None))
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
    path = saved(
        tmp_path / "a.geojson",
        [
            {
                **point_at(7, 8, object_type="detection", measurements=old),
                "id": "PathAnnotationObject",
            },
            {**feature_of(many, name="two"), "id": ID},
            feature_of(SQUARE, classification="Mitosis"),
        ],
    )
    objects = read_objects(path)
    findings = [
        PointResult("Normal mitosis", (0, 128, 0), {"P(atypical)": 0.1 * n, "spread": 0.01 * n})
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
    points = make_points(Path("points.csv"), rows, [])
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
    path = saved(
        tmp_path / "a.geojson",
        collection_of(point_at(1, 2, **given), point_at(3, 4, **given), feature_of(None, **given)),
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
    path = saved(
        tmp_path / "a.geojson", collection_of(point_at(1, 2, **theirs), point_at(3, 4, **ours))
    )
    failed, not_asked = with_findings(read_objects(path, ["Atypical mitosis"]), [None])
    assert failed["properties"] == theirs
    assert not_asked == point_at(3, 4, **ours)


def test_the_type_in_an_old_id_is_kept(tmp_path: Path) -> None:
    old = {"PathDetectionObject": "detection", "PathCellObject": "cell", "TMACoreObject": "tmaCore"}
    features = [{**point_at(n, n), "id": name} for n, name in enumerate(old)]
    said = {**point_at(9, 9, objectType="annotation"), "id": "PathTileObject"}
    named = {**point_at(10, 10), "id": "m-17"}
    path = saved(tmp_path / "a.geojson", collection_of(*features, said, named))
    write_features(tmp_path / "o.geojson", with_findings(read_objects(path), [ATYPICAL] * 5))
    found = qupath_reads(tmp_path / "o.geojson")
    assert [of["type"] for of in found] == [*old.values(), "annotation", "annotation"]
    last = json.loads((tmp_path / "o.geojson").read_text())["features"][-1]
    assert last["properties"]["id"] == "m-17"


@pytest.mark.parametrize("own", [ID, ID.upper()])
def test_an_id_stays_to_the_letter_also_where_a_gis_library_put_it(
    own: str, tmp_path: Path
) -> None:
    path = saved(
        tmp_path / "a.geojson",
        collection_of({**point_at(1, 2), "id": own}, point_at(3, 4, id=own[::-1])),
    )
    objects = read_objects(path)
    assert objects.points.frame["point_id"][0] == own
    path = saved(tmp_path / "a.geojson", collection_of(point_at(3, 4, id=own)))
    (feature,) = with_findings(read_objects(path), [ATYPICAL])
    assert feature["id"] == own


def test_points_of_one_object_keep_its_plane_and_their_height(tmp_path: Path) -> None:
    plane = {"c": -1, "z": 3, "t": 1}
    many = {"type": "MultiPoint", "coordinates": [[1, 2, 5], [3, 4]], "plane": plane, "bbox": [0]}
    inside = [{"type": "Point", "coordinates": [5, 6]}, {"type": "Point", "coordinates": [7, 8]}]
    several = {"type": "GeometryCollection", "geometries": inside, "plane": plane}
    path = saved(tmp_path / "a.geojson", collection_of(feature_of(many), feature_of(several)))
    objects = read_objects(path)
    np.testing.assert_allclose(objects.points.frame["x"], [1, 3, 5, 7])
    found = [of["geometry"] for of in with_findings(objects, [ATYPICAL] * 4)]
    places = [[1, 2, 5], [3, 4], [5, 6], [7, 8]]
    assert found == [{"type": "Point", "coordinates": at, "plane": plane} for at in places]


def test_objects_that_are_nested_without_end_are_named(tmp_path: Path) -> None:
    feature = point_at(1, 2)
    for _ in range(60):
        feature = point_at(1, 2, childObjects=[feature])
    objects = read_objects(saved(tmp_path / "a.geojson", [feature]))
    assert "holds objects that are nested more than 50 deep" in objects.points.failures[0]
    (back,) = with_findings(objects, [None] * len(objects.points))
    assert json.dumps(back).count('"Point"') == 61


def test_the_collections_own_members_come_back(tmp_path: Path) -> None:
    members = {"crs": {"type": "name"}, "name": "Größe", "bbox": [0, 0, 1, 1]}
    path = saved(tmp_path / "a.geojson", {**collection_of(point_at(1, 2)), **members})
    objects = read_objects(path)
    write_features(tmp_path / "o.geojson", with_findings(objects, [None]), objects.features.members)
    document = json.loads((tmp_path / "o.geojson").read_text(encoding="utf-8"))
    assert document.pop("type") == "FeatureCollection"
    assert len(document.pop("features")) == 1
    assert document == members


def test_half_a_character_comes_back(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.geojson", [point_at(1, 2, name="\ud83d", classification="é")])
    write_features(tmp_path / "o.geojson", with_findings(read_objects(path), [None]))
    (feature,) = json.loads((tmp_path / "o.geojson").read_text(encoding="utf-8"))["features"]
    assert feature["properties"]["name"] == "\ud83d"


def test_what_is_read_without_a_fault_can_be_written(tmp_path: Path) -> None:
    def write_below(frames: int, objects: QuPathFile) -> None:
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


def test_measurements_under_a_name_that_is_no_text_stay(tmp_path: Path) -> None:
    theirs = [{"name": [], "value": 5}, {"name": {}, "value": 6}]
    ours = {"name": "P(atypical)", "value": 0.5}
    path = saved(tmp_path / "a.geojson", [point_at(1, 2, measurements=[*theirs, ours])])
    (feature,) = with_findings(read_objects(path), [ATYPICAL])
    assert feature["properties"]["measurements"] == [*theirs, {**ours, "value": 0.93}]
