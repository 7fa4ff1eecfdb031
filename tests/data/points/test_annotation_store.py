"""TIAToolbox's AnnotationStore: read as it lies there, row by row, and never written."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest
import shapely

from atypia.data.points import annotation_store
from atypia.data.points.areas import unite_outlines
from atypia.data.points.open_points import open_points
from atypia.data.points.qupath import QuPathFile
from atypia.data.points.qupath_results import PointResult, write_features
from atypia.errors import TableError
from qupath_parser import qupath_reads
from store_files import KEY, mitosis, write_store

RESULT = PointResult("Atypical mitosis", (213, 94, 0), {"P(atypical)": 0.75})
BOX = shapely.box(10, 20, 30, 40)


def read(path: Path, origin_px: tuple[int, int] = (0, 0)) -> QuPathFile:
    file = open_points(path, Path("a.tiff"), mpp=0.25, origin_px=origin_px)
    assert isinstance(file, QuPathFile)
    return file


def places(file: QuPathFile) -> list[list[float]]:
    found: list[list[float]] = file.points.frame[["x", "y"]].to_numpy().tolist()
    return found


def test_a_point_lies_in_its_columns_and_of_a_shape_the_centroid_counts(tmp_path: Path) -> None:
    box = zlib.compress(BOX.wkb)
    rows = [mitosis(1, 8, 4, 0.5), (KEY.format(2), 0, 0, box, {"type": "Mitotic_Figure"})]
    assert places(read(write_store(tmp_path / "a.db", rows))) == [[8, 4], [20, 30]]
    plain = [(KEY.format(2), 0, 0, BOX.wkb, {"type": "Mitotic_Figure"})]
    file = read(write_store(tmp_path / "plain.db", plain, None), (15, 10))
    assert places(file) == [[5, 20]]


def test_qupath_keeps_all_that_a_row_says(tmp_path: Path) -> None:
    rows = [
        mitosis(1, 8, 4, 0.9375, area_um2=12.5, note="é", checked=True, box=[1, 2]),
        ("not-a-uuid", 6, 4, None, {"type": 3, "prob": 0.5}),
    ]
    file, out = read(write_store(tmp_path / "a.db", rows)), tmp_path / "out.geojson"
    write_features(out, file.give_back([RESULT, None], "a.tiff"))
    first, second = qupath_reads(out)
    assert (str(first["id"]), first["type"]) == (KEY.format(1), "detection")
    assert first["measurements"] == {
        "P(atypical)": 0.75, "Detection probability": 0.9375, "area_um2": 12.5,
    }  # fmt: skip
    assert (second["class"], second["measurements"]) == ("3", {"Detection probability": 0.5})
    metadata = [each["properties"]["metadata"] for each in file.give_back([RESULT, None], "a")]
    assert metadata == [
        {
            "Detection id": KEY.format(1), "Detected class": "Mitotic_Figure",
            "note": "é", "checked": "true", "box": "[1, 2]",
        },
        {"Detection id": "not-a-uuid", "Detected class": "3"},
    ]  # fmt: skip


def test_an_outline_of_the_searched_tissue_is_an_area(tmp_path: Path) -> None:
    tissue = zlib.compress(shapely.box(0, 0, 1000, 1000).wkb)
    rows = [mitosis(1, 8, 4, 0.5), (KEY.format(2), 500, 500, tissue, {"type": "Tissue"})]
    file = read(write_store(tmp_path / "a.db", rows))
    assert len(file.points) == 1  # the other is too large for a figure
    assert unite_outlines(file, "Tissue").area == 1e6


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("k", 8, 4, None, "{bad"), "properties are no JSON"),
        (("k", 8, 4, None, "[" * 100_000), "properties are no JSON"),
        (("k", 8, 4, None, b"\xff"), "properties are no JSON"),
        (("k", 8, 4, None, [1]), "expected an object"),
        (("k", "left", 4, None, {}), "is no position"),
        (("k", 8, float("inf"), None, {}), "is no position"),
        (("k", 8, 4, "POINT (1 2)", {}), "is no WKB"),
        (("k", 8, 4, 3, {}), "expected WKB"),
        (("k", 8, 4, BOX.wkb, {}), "is no WKB"),
        (("k", 8, 4, zlib.compress(BOX.wkb)[:-6], {}), "cut off"),
        (("k", 8, 4, zlib.compress(bytes(2**20)), {}), "unpacks to more than"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_the_others_are_read(
    row: tuple, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_store(tmp_path / "a.db", [mitosis(1, 8, 4, 0.5), row, mitosis(3, 9, 4, 0.5)])
    monkeypatch.setattr(annotation_store, "_MOST_BYTES", 2**19)
    file = read(path)
    assert places(file) == [[8, 4], [9, 4]]
    (line,) = file.points.failures
    assert line.startswith(f"{path}, row 2: ")
    assert reason in line
    assert "\n" not in line
    assert len(list(file.give_back([RESULT, RESULT], "a.tiff"))) == 2


def test_a_store_of_bad_rows_alone_is_refused(tmp_path: Path) -> None:
    path = write_store(tmp_path / "a.db", [("k", 8, 4, None, "{bad")])
    with pytest.raises(TableError, match=r"no usable point .*row 1: properties are no JSON"):
        read(path)


def test_a_store_without_annotations_is_a_slide_without_figures(tmp_path: Path) -> None:
    assert len(read(write_store(tmp_path / "a.db", [])).points) == 0


def test_a_store_is_not_written_nor_touched(tmp_path: Path) -> None:
    # The name means something in an address of SQLite.
    path = write_store(tmp_path / "a b?mode=rwc#%41é.db", [mitosis(1, 8, 4, 0.5)])
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    path.chmod(0o400)
    list(read(path).give_back([RESULT], "a.tiff"))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert list(tmp_path.iterdir()) == [path]


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("x,y\n1,2\n")


def _folder(path: Path) -> None:
    path.mkdir()


def _other_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("CREATE TABLE cells (x, y)")


def _a_view(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("CREATE TABLE metadata (key, value)")
        store.execute(
            "CREATE VIEW annotations AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id FROM "
            "n) SELECT id, '' AS key, 1 AS cx, 1 AS cy, NULL AS geometry, '{}' AS properties FROM n"
        )


def _other_columns(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("CREATE TABLE metadata (key, value)")
        store.execute("CREATE TABLE annotations (id, x, y)")


def _cut_off(path: Path) -> None:
    write_store(path, [mitosis(n, n, 4, 0.5, note="x" * 5000) for n in range(50)])
    path.write_bytes(path.read_bytes()[:20_000])


def _other_compression(path: Path) -> None:
    write_store(path, [mitosis(1, 8, 4, 0.5)], "lzma")


def _being_written(path: Path) -> None:
    write_store(path, [mitosis(1, 8, 4, 0.5)])
    path.with_name(f"{path.name}-wal").write_bytes(b"more")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_empty, "is no SQLite database"),
        (_text, "is no SQLite database"),
        (_folder, "is no file"),
        (_other_tables, "has no table annotations \\(it has: cells\\)"),
        (_a_view, "has no table annotations"),
        (_other_columns, "cannot be read as an AnnotationStore \\(no such column"),
        (_cut_off, "cannot be read as an AnnotationStore"),
        (_other_compression, "compressed by 'lzma', expected zlib"),
        (_being_written, "is still being written"),
        (lambda path: None, "there is no such file"),
    ],
)
def test_what_is_no_whole_store_is_refused_in_one_line(
    make: object, reason: str, tmp_path: Path
) -> None:
    make(tmp_path / "a.db")  # type: ignore[operator]
    with pytest.raises(TableError, match=rf"a\.db: .*{reason}") as caught:
        read(tmp_path / "a.db")
    assert "\n" not in str(caught.value)


def test_a_row_that_is_too_large_to_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_store(tmp_path / "a.db", [mitosis(1, 8, 4, 0.5, note="x" * 100_000)])
    monkeypatch.setattr(annotation_store, "_MOST_BYTES", 50_000)
    with pytest.raises(TableError, match="too big"):
        read(path)


def test_a_store_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write_store(tmp_path / "a.db", [mitosis(n, n, 4, 0.5) for n in range(3)])
    file = read(path)
    with closing(sqlite3.connect(path)) as store:
        store.execute("DELETE FROM annotations WHERE id = 2")
        store.commit()
    with pytest.raises(TableError, match="has changed while it was read"):
        list(file.give_back([RESULT] * 3, "a.tiff"))


def test_a_row_by_its_number_is_that_of_the_whole(tmp_path: Path) -> None:
    broken = (KEY.format(9), 0, 0, b"no shape", {"type": "Mitotic_Figure"})
    rows = [mitosis(1, 8, 4, 0.5), broken, mitosis(2, 9, 5, 0.25)]
    store = annotation_store.AnnotationStore(write_store(tmp_path / "a.db", rows))
    assert len(store) == 2
    assert [store[number] for number in range(len(store))] == list(store)
