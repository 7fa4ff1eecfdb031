"""QuPath's script against a live server: what `atypia slide` writes on the same pixels."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atypia.workflows.slide import predict_slide
from qupath_script import QuPath
from slide_files import write_plain

from .conftest import Process

PLACES = [(200.0, 300.0), (412.5, 77.0), (3.0, 5.0), (1020.0, 760.0), (640.25, 500.75)]


def test_the_script_sets_what_the_verb_writes(
    serve: Callable[..., Process], small_export: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(60, 256, (48, 64, 3), dtype=np.uint8))
    pixels = np.array(coarse.resize((1024, 768), Image.Resampling.BICUBIC))
    pixels[450:550, 590:690] = 240  # glass around the last place
    picture, slide = tmp_path / "slide.png", tmp_path / "slide.tif"
    Image.fromarray(pixels).save(picture)
    write_plain(slide, pixels)
    ids = [str(uuid.UUID(int=number + 1)) for number in range(len(PLACES))]
    features = [
        {
            "type": "Feature",
            "id": own,
            "geometry": {"type": "Point", "coordinates": place},
            "properties": {"objectType": "annotation", "classification": {"name": "Mitosis"}},
        }
        for own, place in zip(ids, PLACES, strict=True)
    ]
    points, out = tmp_path / "points.geojson", tmp_path / "out.geojson"
    points.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    predict_slide(slide, points, out, bundle=small_export.parents[1], runtime="onnx")
    written = json.loads(out.read_text(encoding="utf-8"))["features"]
    objects = [
        {
            "id": own,
            "kind": "annotation",
            "pathClass": "Mitosis",
            "roi": {"x": x, "y": y, "points": 1},
        }
        for own, (x, y) in zip(ids, PLACES, strict=True)
    ]
    with QuPath() as qupath:
        result = qupath.run(objects, picture, 0.25, server=serve().address, cropsPerRequest=2)
    assert result.lines[-1].startswith("5 of 5 objects classified")
    for feature in written:
        found = result.objects[feature["id"]]
        properties = feature["properties"]
        assert found["class"] == properties["classification"]["name"]
        assert found["colour"] == properties["classification"]["color"]
        wanted = properties["measurements"]
        assert found["measurements"] == pytest.approx(wanted, abs=1e-5)
        assert found["metadata"] == properties.get("metadata", {})
    assert result.objects[ids[-1]]["measurements"]["In scope"] == 0
