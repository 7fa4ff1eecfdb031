"""The record of a run as it lies beside its results."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from atypia.inference.crops import Failure
from atypia.inference.record import RunRecord, SourceRecord, record_path, write_record


def test_all_of_a_record_is_in_its_file(tmp_path: Path) -> None:
    values = {field.name: 1 for field in fields(RunRecord)} | {
        "sources": (SourceRecord("Präparate", "folder of images", 12),),
        "failures": (Failure("2.png", "Präparate/2.png", "2.png: is empty"),),
        "mpp_from": {"given": 12},
        "mpp_assumed": None,
    }
    path = record_path(tmp_path / "p.csv")
    write_record(RunRecord(**values), path)  # type: ignore[arg-type]
    text = path.read_text(encoding="utf-8")
    record = json.loads(text)
    assert set(record) == {field.name for field in fields(RunRecord)}
    assert record["sources"] == [{"path": "Präparate", "kind": "folder of images", "figures": 12}]
    assert record["failures"][0]["message"] == "2.png: is empty"
    assert record["mpp_assumed"] is None
    assert "Präparate" in text  # read by people, too


def test_a_record_lies_beside_its_table_whatever_the_format(tmp_path: Path) -> None:
    for name in ("p.csv", "p.parquet", "p.json"):
        assert record_path(tmp_path / name) == tmp_path / "p.run.json"
