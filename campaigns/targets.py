"""What is fuzzed: for each reader a few valid inputs, how they are changed, and what must hold.

A target's input is a file's name and bytes. Its check reads the file as a user's would be read;
it may raise `AtypiaError` and nothing else, and what it accepts must keep what it promises.
"""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutate
from mutate import Choices

Make = Callable[[Choices], tuple[str, bytes]]
Check = Callable[[Path], None]


@dataclass(frozen=True)
class Target:
    """A reader to fuzz.

    Attributes:
        prepare: imports the reader, writes what it needs into a folder, and returns how an input is
            made and how one is checked.
        count: inputs of a whole campaign.
    """

    prepare: Callable[[Path], tuple[Make, Check]]
    count: int = 10_000


class BrokenPromiseError(Exception):
    """Something was accepted, and then not what it should be."""


def _require(holds: object, what: str) -> None:
    if not holds:
        raise BrokenPromiseError(what)


def _recipe(folder: Path) -> tuple[Make, Check]:
    from atypia.training.recipe import Recipe
    from atypia.training.recipe_file import read_recipe, to_toml

    seed = to_toml(Recipe())

    def check(path: Path) -> None:
        recipe = read_recipe(path)
        path.write_text(to_toml(recipe), encoding="utf-8")
        _require(read_recipe(path) == recipe, "a recipe written and read back is another")

    return lambda choices: ("recipe.toml", mutate.toml_text(choices, seed)), check


def _set(folder: Path) -> tuple[Make, Check]:
    from atypia.training.recipe import Recipe
    from atypia.training.recipe_file import read_recipe, to_toml

    seed = to_toml(Recipe())
    flat = [f"{section}.{name}" for section, name in _keys(seed)]

    def make(choices: Choices) -> tuple[str, bytes]:
        changes = []
        for _ in range(choices.choice((1, 1, 2, 4))):
            key = choices.choice(flat) if choices.often(0.8) else mutate.toml_key(choices, seed)
            equals = "=" if choices.often(0.97) else choices.choice(("", " = ", "==", "\n="))
            changes.append(f"{key}{equals}{mutate.toml_value(choices)}")
        return "changes.json", json.dumps(changes).encode()

    def check(path: Path) -> None:
        changes = json.loads(path.read_text(encoding="utf-8"))
        recipe = read_recipe("lite", changes)
        written = path.with_suffix(".toml")
        written.write_text(to_toml(recipe), encoding="utf-8")
        _require(read_recipe(written) == recipe, "a recipe written and read back is another")

    return make, check


def _keys(text: str) -> list[tuple[str, str]]:
    section, found = "", []
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and section:
            found.append((section, line.partition("=")[0].strip("# ")))
    return found


def _plan(folder: Path) -> tuple[Make, Check]:
    from atypia.training.ablation import plan_files, read_plan

    seed = next(iter(plan_files().values())).read_text(encoding="utf-8")
    small = '[[arm]]\nname = "one"\nrecipe = "lite"\nset = ["seed=1"]\nagainst = "two"\n'
    small = 'name = "plan"\nseeds = [0, 1]\nset = ["mixup.alpha=0"]\n' + small
    small += '[[arm]]\nname = "two"\nrecipe = "lite"\n'

    def make(choices: Choices) -> tuple[str, bytes]:
        return "plan.toml", mutate.toml_text(choices, seed if choices.often(0.1) else small)

    def check(path: Path) -> None:
        plan = read_plan(path)
        for arm in plan.arms:
            plan.recipe(arm, plan.seeds[0])

    return make, check


TABLE: mutate.Rows = [
    ["figure_id", "image", "slide", "case", "x", "y", "mpp", "tumour", "scanner", "label"],
    ["f1", "a.png", "s1", "c1", "10", "20.5", "0.25", "breast", "XR", "1"],
    ["f2", "b.png", "s1", "c1", "", "", "", "", "XR", "0"],
    ["f3", "sub/c.png", "s2", "c2", "1", "2", "0.5", "lung", "", ""],
]
for _row, _votes in zip(TABLE, (("vote_a", "vote_b", "phase", "own"),), strict=False):
    _row += _votes
for _row in TABLE[1:]:
    _row += ["1", "no", "metaphase", "x"]


def _table_csv(folder: Path) -> tuple[Make, Check]:
    def make(choices: Choices) -> tuple[str, bytes]:
        return "figures.csv", mutate.csv_text(choices, mutate.rows(choices, TABLE))

    return make, _check_table("csv")


def _table_parquet(folder: Path) -> tuple[Make, Check]:
    def make(choices: Choices) -> tuple[str, bytes]:
        return "figures.parquet", _parquet(choices, TABLE)

    return make, _check_table("parquet")


def _check_table(suffix: str) -> Check:
    import pandas as pd

    from atypia.data.table import read_table, write_table

    def check(path: Path) -> None:
        table = read_table(path)
        _require(len(table), "a table without figures was accepted")
        written = path.with_name(f"again.{suffix}")
        write_table(table, written)
        again = read_table(written)
        try:
            pd.testing.assert_frame_equal(table.frame, again.frame, check_dtype=False)
        except AssertionError as fault:
            raise BrokenPromiseError(
                f"a table written and read back is another: {str(fault).splitlines()[0]}"
            ) from None

    return check


def _parquet(choices: Choices, seed: mutate.Rows) -> bytes:
    """Write a table as Parquet, its columns as whatever types hold them."""
    import datetime
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = mutate.rows(choices, seed)
    header = [str(name)[:200] for name in (table[0] if table else [])]
    height = len(table[1:])
    columns = []
    for number in range(len(header)):
        values = [
            "".join(str(row[number]).split("\ud800")) if number < len(row) else None
            for row in table[1:]
        ]
        kind = choices.randrange(15 * 12)
        numbers = [_number(one) for one in values]
        made: Any = {
            1: lambda n=numbers: pa.array(n, pa.float64()),
            2: lambda n=numbers: pa.array([None if math.isnan(x) else x > 0 for x in n]),
            3: lambda: pa.array([datetime.datetime(2026, 1, 1)] * height),
            4: lambda: pa.array([datetime.date(1, 1, 1)] * height),
            5: lambda: pa.array([decimal.Decimal("1.50")] * height),
            6: lambda: pa.array([[1, 2]] * height),
            7: lambda: pa.array([{"a": 1}] * height),
            8: lambda v=values: pa.array([str(x).encode() for x in v], pa.binary()),
            9: lambda: pa.nulls(height),
            10: lambda v=values: pa.array(v, pa.string()).dictionary_encode(),
            11: lambda n=numbers: pa.array(n, pa.float32()),
            12: lambda: pa.array([2**63 - 1] * height, pa.int64()),
            13: lambda: pa.array([2**64 - 1] * height, pa.uint64()),
            14: lambda: pa.array([datetime.timedelta(days=1)] * height),
        }.get(kind, lambda v=values: pa.array(v, pa.string()))
        try:
            columns.append(made())
        except (UnicodeEncodeError, pa.ArrowException, OverflowError):
            columns.append(pa.nulls(height))
    file = io.BytesIO()
    safe = [name.encode("utf-8", "replace").decode() for name in header]
    pq.write_table(pa.table(columns, names=safe), file)
    data = file.getvalue()
    return mutate.damaged(choices, data) if choices.often(0.15) else data


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def _slide_list(folder: Path) -> tuple[Make, Check]:
    from atypia.data.slide_list import read_slide_list

    seed: mutate.Rows = [
        ["slide", "points", "name", "case", "mpp", "area_mm2"],
        ["a.tif", "a.geojson", "a", "c1", "0.25", "2"],
        ["b.tif", "b.csv", "", "", "", ""],
    ]

    def make(choices: Choices) -> tuple[str, bytes]:
        if choices.often(0.3):
            return "slides.parquet", _parquet(choices, seed)
        return "slides.csv", mutate.csv_text(choices, mutate.rows(choices, seed))

    def check(path: Path) -> None:
        listed = read_slide_list(path)
        names = [one.name for one in listed]
        _require(names and len(set(names)) == len(names), "two slides of one name were accepted")

    return make, check


def _points_table(folder: Path) -> tuple[Make, Check]:
    from atypia.data.points.open_points import open_points

    seed: mutate.Rows = [
        ["point_id", "x", "y", "name", "slide"],
        ["1", "10", "20.5", "Mitosis", "s.tif"],
        ["2", "30", "40", "Other", "s"],
        ["3", "5", "6", "", "t.tif"],
    ]

    def make(choices: Choices) -> tuple[str, bytes]:
        if choices.often(0.3):
            return "points.parquet", _parquet(choices, seed)
        return "points.csv", mutate.csv_text(choices, mutate.rows(choices, seed))

    def check(path: Path) -> None:
        _check_points(open_points(path, Path("s.tif"), mpp=0.25).points)

    return make, check


def _check_points(points: Any) -> None:
    frame = points.frame
    _require(
        frame[["x", "y"]].map(math.isfinite).to_numpy().all(), "a point without a place is there"
    )
    _require(not frame["point_id"].duplicated().any(), "two points have one id")


FEATURES = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "0f8d8e5c-1111-4111-8111-111111111111",
            "geometry": {"type": "Point", "coordinates": [10.5, 20]},
            "properties": {
                "objectType": "annotation",
                "name": "first",
                "classification": {"name": "Mitosis", "color": [1, 2, 3]},
                "measurements": {"area": 1.5},
                "metadata": {"who": "me"},
                "isLocked": True,
            },
        },
        {
            "type": "Feature",
            "id": "0f8d8e5c-2222-4222-8222-222222222222",
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]],
            },
            "properties": {
                "objectType": "annotation",
                "classification": {"names": ["Tumor", "Positive"]},
                "measurements": [{"name": "P(atypical)", "value": 0.5}],
            },
        },
        {
            "type": "Feature",
            "id": "PathDetectionObject",
            "geometry": {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]], "plane": {"z": 1}},
            "properties": {"classification": "Mitosis"},
        },
    ],
}


def _geojson(folder: Path) -> tuple[Make, Check]:
    from atypia.data.points.open_points import open_points
    from atypia.data.points.qupath import QuPathFile
    from atypia.data.points.qupath_results import PointResult, write_features

    def make(choices: Choices) -> tuple[str, bytes]:
        seed: Any = FEATURES
        if choices.often(0.2):
            seed = FEATURES["features"]
        elif choices.often(0.1):
            seed = FEATURES["features"][0]
        return "points.geojson", mutate.json_text(choices, mutate.tree(choices, seed))

    result = PointResult("Atypical", (1, 2, 3), {"P(atypical)": 0.75}, {"Phase": "metaphase"})

    def check(path: Path) -> None:
        file = open_points(path, Path("s.tif"), mpp=0.25)
        read = file.points
        _check_points(read)
        if not isinstance(file, QuPathFile):
            return
        written = path.with_name("written.geojson")
        write_features(written, file.give_back([result] * len(read), "s.tif"))
        again = open_points(written, Path("s.tif"), mpp=0.25)
        _require(
            again.points.frame[["x", "y"]].equals(read.frame[["x", "y"]]),
            "points written and read back are elsewhere",
        )
        _require(
            set(again.points.frame["name"]) <= {"Atypical"} or len(again.points) > len(read),
            "points written and read back have another class",
        )
        own = read.frame[read.frame["member"] == 0]
        _require_foreign_kept(list(file.features), written, own["feature"].tolist())

    return make, check


def _require_foreign_kept(given: list[Any], written: Path, numbers: list[int]) -> None:
    """Require that everything but what we set comes back with every feature."""
    coming = iter(json.loads(written.read_text(encoding="utf-8"))["features"])
    for number, feature in enumerate(given):
        for _ in range(max(1, numbers.count(number))):
            _require(
                _foreign(next(coming)) == _foreign(feature), "something of the user's is not kept"
            )


def _foreign(feature: Any) -> str:
    """Return what of a feature is not ours to set, as text: NaN is no equal of itself."""
    if not isinstance(feature, dict):
        return json.dumps(feature)
    ours: tuple[str, ...] = ("id", "bbox", "geometry", "properties", "features")
    kept = {key: of for key, of in feature.items() if key not in ours}
    properties = feature.get("properties")
    if isinstance(properties, dict):
        ours = ("classification", "measurements", "metadata", "objectType", "object_type")
        ours += ("id", "childObjects")
        foreign = {key: of for key, of in properties.items() if key not in ours}
        kept |= {"properties": foreign} if foreign else {}
    return json.dumps(kept, sort_keys=True)


def _areas(folder: Path) -> tuple[Make, Check]:
    from atypia.data.points.areas import unite_outlines
    from atypia.data.points.open_points import open_points

    hole = [[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]], [[1, 1], [2, 1], [2, 2], [1, 1]]]
    seed = json.loads(json.dumps(FEATURES))
    seed["features"][1]["properties"]["classification"] = {"name": "Tumor"}
    seed["features"][2] = {
        "type": "Feature",
        "geometry": {"type": "MultiPolygon", "coordinates": [hole, hole]},
        "properties": {"classification": {"name": "Tumor"}},
    }

    def make(choices: Choices) -> tuple[str, bytes]:
        return "areas.geojson", mutate.json_text(choices, mutate.tree(choices, seed))

    def check(path: Path) -> None:
        area = unite_outlines(open_points(path, Path("s.tif"), mpp=0.25), "Tumor")
        _require(math.isfinite(area.area) and area.area > 0, "an area of no size was accepted")

    return make, check


MIDOG = {
    "info": {"description": "a list"},
    "images": [{"id": 1, "file_name": "s.tif", "width": 100, "height": 100}],
    "categories": [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "hard negative"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 60, 60]},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": [20, 10, 70, 60.5]},
    ],
}
DETECTED = {
    "type": "Multiple points",
    "points": [
        {"name": "mitotic figure", "point": [0.01, 0.02, 0], "probability": 0.5},
        {"name": "non-mitotic figure", "point": [0.015, 0.02, 0], "probability": 0.2},
    ],
    "version": {"major": 1, "minor": 0},
}


def _midog(folder: Path) -> tuple[Make, Check]:
    from atypia.data.points.midog import write_midog
    from atypia.data.points.open_points import open_points
    from atypia.data.points.qupath import QuPathFile

    def make(choices: Choices) -> tuple[str, bytes]:
        seed = choices.choice((MIDOG, DETECTED))
        return "midog.json", mutate.json_text(choices, mutate.tree(choices, seed))

    def check(path: Path) -> None:
        file = open_points(path, Path("s.tif"), mpp=0.25)
        points = file.points
        _check_points(points)
        if isinstance(file, QuPathFile):
            return
        places = [(row.x, row.y, row.name, 0.5) for row in points.frame.itertuples(index=False)]
        written = path.with_name("written.json")
        write_midog(written, [one for one in places if max(map(abs, one[:2])) < 1e100], 0.25)

    return make, check


def _image(folder: Path) -> tuple[Make, Check]:
    import numpy as np
    from PIL import Image

    from atypia.data.images import MAX_SIDE_PX, MIN_SIDE_PX, figure_pages, read_image, read_pages
    from atypia.errors import ImageError

    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((24, 20))
    seeds: list[tuple[str, bytes]] = []
    for suffix, arguments in (
        ("png", {}),
        ("jpg", {"quality": 80}),
        ("bmp", {}),
        ("webp", {"lossless": True}),
        ("tif", {"compression": "raw"}),
        ("tif", {"compression": "tiff_lzw"}),
        ("tif", {"compression": "jpeg"}),
        ("tif", {"save_all": True, "append_images": [picture, picture]}),
    ):
        file = io.BytesIO()
        picture.save(file, Image.registered_extensions()[f".{suffix}"], **arguments)
        seeds.append((f"crop.{suffix}", file.getvalue()))
    file = io.BytesIO()
    picture.quantize(8).save(file, "PNG")
    seeds.append(("crop.png", file.getvalue()))

    def make(choices: Choices) -> tuple[str, bytes]:
        name, data = choices.choice(seeds)
        if name.endswith("tif") and data[:2] == b"II" and choices.often(0.8):
            return name, mutate.tiff(choices, data)
        if name.endswith("png") and choices.often(0.8):
            return name, mutate.png(choices, data)
        return name, mutate.damaged(choices, data, reach=200)

    def check(path: Path) -> None:
        if path.suffix == ".tif":
            count, crops = len(figure_pages(path)), list(read_pages(path))
            _require(len(crops) == count, "a stack has not as many pages as it counts")
            for crop in crops:
                if not isinstance(crop, ImageError):
                    require_crop(crop)
        require_crop(read_image(path))

    def require_crop(crop: Any) -> None:
        sides = (min(crop.shape[:2]), max(crop.shape[:2]))
        _require(
            crop.dtype == np.uint8 and crop.ndim == 3 and crop.shape[2] == 3, "a crop is no RGB"
        )
        _require(sides[0] >= MIN_SIDE_PX and sides[1] <= MAX_SIDE_PX, "a crop is of no such size")

    return make, check


def _slide(folder: Path) -> tuple[Make, Check]:
    import numpy as np
    import tifffile

    from atypia.data.slides import open_slide

    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    pixels = coarse.repeat(16, axis=0).repeat(16, axis=1)
    common: dict[str, Any] = {"photometric": "rgb", "metadata": None}
    resolution: dict[str, Any] = {"resolution": (4e4, 4e4), "resolutionunit": "CENTIMETER"}
    ome = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    seeds = []
    for arguments in (
        common | resolution | {"tile": (64, 64)},
        common | resolution,
        common | resolution | {"tile": (64, 64), "compression": "zlib"},
        common | resolution | {"tile": (64, 64), "planarconfig": "separate"},
    ):
        file = io.BytesIO()
        given = arguments
        image = np.moveaxis(pixels, -1, 0) if "planarconfig" in given else pixels
        tifffile.imwrite(file, image, **given)
        seeds.append(("slide.tif", file.getvalue()))
    file = io.BytesIO()
    with tifffile.TiffWriter(file, ome=True) as writer:
        writer.write(pixels, tile=(64, 64), photometric="rgb", metadata=ome, subifds=1)
        writer.write(pixels[::2, ::2], tile=(64, 64), photometric="rgb", subfiletype=1)
    seeds.append(("slide.ome.tif", file.getvalue()))

    def make(choices: Choices) -> tuple[str, bytes]:
        name, data = choices.choice(seeds)
        if name == "slide.ome.tif" and choices.often(0.3):
            at = data.index(b"<?xml")
            return name, data[:at] + mutate.damaged(choices, data[at:], reach=800)
        if choices.often(0.85):
            return name, mutate.tiff(choices, data)
        return name, mutate.damaged(choices, data, reach=600)

    def check(path: Path) -> None:
        slide = open_slide(path, mpp=0.25)
        try:
            window = slide.window(64, 64, side_um=8, level=0)
            _require(window.ndim == 3 and window.shape[2] == 3, "a window is no RGB")
        finally:
            slide.close()

    return make, check


def _bundle(folder: Path) -> tuple[Make, Check]:
    import copy

    import torch

    from atypia.bundle import load
    from atypia.bundle.manifest import BundleManifest, member_names
    from atypia.bundle.save import save_bundle
    from atypia.bundle.verify import write_sums
    from atypia.evaluation.calibration import Calibration
    from atypia.inference.runtimes.torch import load_members
    from atypia.models import classifier
    from atypia.models.adapters import AdapterConfig
    from atypia.models.backbones.registry import BackboneSpec, backbone_spec

    torch.set_num_threads(1)
    spec, adapter = backbone_spec("lite"), AdapterConfig(kind="linear")
    member = classifier.build_classifier("lite", adapter, phases=2)
    manifest = BundleManifest(
        name="small",
        backbone="lite",
        adapter=adapter,
        pooling=spec.pooling,
        crop_um=8.0,
        input_px=32,
        training_mpp=(0.2, 0.3),
        mean=spec.mean,
        std=spec.std,
        phases=("metaphase", "anaphase"),
        members=member_names(1),
    )
    whole = folder / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    calibration = Calibration(1.5, 0.1, 0.5, 0.4, 0.6, "nothing", "none", 0.1, 0.3)
    save_bundle(whole, manifest, [member.saved_state()], calibration, "# small\n")
    files = {
        name: (whole / name).read_bytes()
        for name in ("bundle.json", "calibration.json", "members/0.safetensors", "sha256sums")
    }
    # To build a network takes far longer than to read what describes it.
    built: dict[str, Any] = {}

    def keep(of: Callable[..., Any]) -> Callable[..., Any]:
        def fresh(spec: Any, *given: Any, **named: Any) -> Any:
            key = f"{of.__name__} {spec.key} {given} {named}"
            if key not in built:
                if len(built) > 8:
                    built.clear()
                built[key] = of(spec, *given, **named)
            return copy.deepcopy(built[key])

        return fresh

    classifier.pretrained_backbone = keep(classifier.pretrained_backbone)
    BackboneSpec.create = keep(BackboneSpec.create)

    def make(choices: Choices) -> tuple[str, bytes]:
        name = choices.choice((*files, *list(files)[:3]))
        data = files[name]
        if name.endswith(".json"):
            changed = mutate.tree(choices, json.loads(data))
            return name.replace("/", "-"), mutate.json_text(choices, changed)
        if name.endswith(".safetensors") and choices.often(0.8):
            return name.replace("/", "-"), mutate.safetensors(choices, data)
        return name.replace("/", "-"), mutate.damaged(choices, data)

    def check(path: Path) -> None:
        name = path.name.replace("members-", "members/")
        there = path.with_name("bundle")
        shutil.copytree(whole, there)
        (there / name).write_bytes(path.read_bytes())
        if name != "sha256sums":
            write_sums(there)
        bundle = load.load_bundle(there)
        side = bundle.manifest.input_px
        if side <= 64:  # larger ones are right, and slow
            with torch.inference_mode():
                logit = load_members(bundle)[0](torch.zeros(1, 3, side, side)).logit
            if bool(torch.isfinite(logit).all()):
                p = bundle.calibration.probability(logit.numpy())
                _require(0 <= p.min() <= p.max() <= 1, "P(atypical) is no probability")

    return make, check


def _answers(folder: Path) -> tuple[Make, Check]:
    from atypia.challenges.midog25.answers import (
        convert_answers,
        read_answers,
        write_answers,
    )
    from atypia.data.table import figures_from_frame

    seed = [{"class": "atypical", "confidence": 0.75}, {"class": "normal", "confidence": 0}]
    table = _two_figures(folder, figures_from_frame)

    def make(choices: Choices) -> tuple[str, bytes]:
        return "answers.json", mutate.json_text(choices, mutate.tree(choices, seed))

    def check(path: Path) -> None:
        answers = read_answers(path)
        written = path.with_name("written.json")
        write_answers(written, answers)
        _require(read_answers(written) == answers, "answers written and read back are others")
        predictions, _ = convert_answers(path, table)
        _require(predictions["p_atypical"].between(0, 1).all(), "P(atypical) is no probability")

    return make, check


def _two_figures(folder: Path, figures_from_frame: Any) -> Any:
    import pandas as pd

    columns = {"figure_id": ["a", "b"], "image": ["a.png", "b.png"], "label": [1, 0]}
    return figures_from_frame(pd.DataFrame(columns), folder)


def _predictions(folder: Path) -> tuple[Make, Check]:
    from atypia.data.predictions import join_predictions, read_predictions
    from atypia.data.table import figures_from_frame
    from atypia.errors import AtypiaError

    seed: mutate.Rows = [
        ["figure_id", "image", "p_atypical", "call", "refer", "spread", "phase"],
        ["a", "a.png", "0.75", "atypical", "True", "0.1", "metaphase"],
        ["b", "b.png", "0.25", "normal", "False", "", ""],
    ]
    records = [dict(zip(seed[0], row, strict=True)) for row in seed[1:]]
    table = _two_figures(folder, figures_from_frame)

    def make(choices: Choices) -> tuple[str, bytes]:
        kind = choices.randrange(4)
        if kind == 0:
            return "predictions.parquet", _parquet(choices, seed)
        if kind == 1:
            return "predictions.json", mutate.json_text(choices, mutate.tree(choices, records))
        return "predictions.csv", mutate.csv_text(choices, mutate.rows(choices, seed))

    def check(path: Path) -> None:
        predictions = read_predictions(path)
        _require(predictions["p_atypical"].between(0, 1).all(), "P(atypical) is no probability")
        _require(not predictions["figure_id"].duplicated().any(), "a figure is there twice")
        try:
            joined = join_predictions(predictions, table)
        except AtypiaError:
            return
        _require(len(joined.frame), "nothing was joined, without a word")

    return make, check


def _slide_state(folder: Path) -> tuple[Make, Check]:
    from atypia.workflows.slide_state import SlideState, read_state, write_state

    state = SlideState(
        inputs={"slide": "a.tif", "mpp": 0.25, "options": {"class": ["Mitosis"]}},
        files=["a.geojson"],
        failures=["point 1: outside"],
        mpp_from="slide",
        seconds=1.5,
    )
    seed = json.loads(state.model_dump_json())

    def make(choices: Choices) -> tuple[str, bytes]:
        return "state.json", mutate.json_text(choices, mutate.tree(choices, seed))

    def check(path: Path) -> None:
        read = read_state(path)
        if read is not None:
            written = path.with_name("again.json")
            write_state(written, read)
            again = read_state(written)
            _require(again is not None, "a state that was written is not read back")
            _require(repr(again) == repr(read), "a state written and read back is another")

    return make, check


def _runs(folder: Path) -> tuple[Make, Check]:
    from atypia.training.recipe import Recipe
    from atypia.workflows.ablation_runs import (
        RunLine,
        append_run,
        flat_recipe,
        mend_last_line,
        read_runs,
    )

    line = RunLine(
        arm="one",
        seed=0,
        fold=1,
        left_out="breast",
        recipe=dict(list(flat_recipe(Recipe()).items())[:5]),
        figures="0" * 16,
        seconds=1.5,
        threads=1,
        device="cpu",
        torch="2.6",
        atypia="0.1.0",
        probe={"before": 0.5, "after": 0.5, "chance": 0.5},
        left_out_logit=[0.5, -1.0],
        held_out_logit=[1.0],
    )
    seed = json.loads(line.model_dump_json())

    def make(choices: Choices) -> tuple[str, bytes]:
        first = line.model_dump_json().encode() + b"\n"
        text = mutate.json_text(choices, mutate.tree(choices, seed))
        end = choices.choice((b"\n", b"\n", b"", b"\r\n", b"\n\n"))
        return "runs.jsonl", (first if choices.often(0.5) else b"") + text + end

    def check(path: Path) -> None:
        read = read_runs(path)
        mend_last_line(path)
        append_run(path, line)
        again = read_runs(path)
        _require(again[-1] == line and len(again) == len(read) + 1, "an appended run is not there")

    return make, check


def _checkpoint(folder: Path) -> tuple[Make, Check]:
    import torch

    from atypia.training.checkpoint import load_checkpoint

    torch.set_num_threads(1)
    seed = {
        "identity": "0" * 64,
        "step": 5,
        "seconds": 1.5,
        "losses": [{"loss": 0.5}],
        "work": {"trainee": {"step": 1}, "mining": None},
    }

    def make(choices: Choices) -> tuple[str, bytes]:
        changed = mutate.tree(choices, seed) if choices.often(0.7) else seed
        if isinstance(changed, dict) and choices.often(0.8):
            changed["weights"] = torch.zeros(3)
        file = io.BytesIO()
        torch.save(_without_raw(changed), file)
        data = file.getvalue()
        return "checkpoint.pt", mutate.damaged(choices, data) if choices.often(0.4) else data

    def check(path: Path) -> None:
        state = load_checkpoint(path, "0" * 64)
        _require(state is not None and state["identity"] == "0" * 64, "another's was accepted")

    return make, check


def _without_raw(document: Any) -> Any:
    if isinstance(document, mutate.Raw):
        return document.text
    if isinstance(document, dict):
        return {key: _without_raw(inner) for key, inner in document.items()}
    return [_without_raw(inner) for inner in document] if isinstance(document, list) else document


def _member(folder: Path) -> tuple[Make, Check]:
    import numpy as np
    from safetensors.numpy import save

    from atypia.training.member import read_member

    identity = "0" * 64
    scores = {
        "held_out": np.arange(3),
        "logit": np.zeros(3, dtype=np.float32),
        "phase": np.zeros((3, 2), dtype=np.float32),
        "hardness": np.zeros(6, dtype=np.float32),
        "seconds": np.array(1.5),
        "probe": np.array([0.5, 0.5, 0.5]),
    }
    files = {
        "member.safetensors": save({"head": np.zeros(3)}, metadata={"identity": identity}),
        "scores.safetensors": save(scores),
    }

    def make(choices: Choices) -> tuple[str, bytes]:
        name = choices.choice(list(files))
        if choices.often(0.7):
            return name, mutate.safetensors(choices, files[name])
        return name, mutate.damaged(choices, files[name])

    def check(path: Path) -> None:
        for name, data in files.items():
            if name != path.name:
                path.with_name(name).write_bytes(data)
        read_member(path.parent, identity)

    return make, check


def _metrics(folder: Path) -> tuple[Make, Check]:
    from atypia.training.metrics_log import MetricsLog

    seed = {"step": 3, "epoch": 1, "loss": 0.5, "gamma_bin_0": 1.0, "gamma_bin_1": 2.0}

    def make(choices: Choices) -> tuple[str, bytes]:
        first = json.dumps(seed).encode() + b"\n"
        return "metrics.jsonl", first + mutate.json_text(choices, mutate.tree(choices, seed))

    def check(path: Path) -> None:
        metrics_log = MetricsLog(path.parent, 5)
        metrics_log.write(6, {"loss": 0.5})
        metrics_log.close()

    return make, check


def _challenge(folder: Path) -> tuple[Make, Check]:
    from atypia.challenges.midog25.stack import STACK_SLUG, find_stack

    seed = [{"interface": {"slug": STACK_SLUG}, "image": {"name": "a.tif"}}]

    def make(choices: Choices) -> tuple[str, bytes]:
        return "inputs.json", mutate.json_text(choices, mutate.tree(choices, seed))

    def check(path: Path) -> None:
        images = path.parent / "images" / STACK_SLUG
        images.mkdir(parents=True)
        (images / "a.tif").touch()
        _require(find_stack(path.parent).name == "a.tif", "another file was taken")

    return make, check


TARGETS = {
    "recipe": Target(_recipe, 100_000),
    "set": Target(_set, 100_000),
    "table-csv": Target(_table_csv, 100_000),
    "table-parquet": Target(_table_parquet, 100_000),
    "geojson": Target(_geojson, 100_000),
    "midog": Target(_midog, 100_000),
    "image": Target(_image),
    "slide": Target(_slide),
    "bundle": Target(_bundle),
    "areas": Target(_areas),
    "points-table": Target(_points_table),
    "slide-list": Target(_slide_list),
    "plan": Target(_plan),
    "answers": Target(_answers),
    "predictions": Target(_predictions),
    "challenge": Target(_challenge),
    "slide-state": Target(_slide_state),
    "runs": Target(_runs),
    "checkpoint": Target(_checkpoint),
    "member": Target(_member),
    "metrics": Target(_metrics),
}
