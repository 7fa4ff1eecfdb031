"""QuPath there and back: what a person touched there is a label, and nothing else is."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from typer.testing import CliRunner

from atypia.cli.main import app
from atypia.data.readers.open_figures import open_figures
from atypia.data.reviews import CHANGED, DRAWN, LOCKED, UNCHANGED
from atypia.data.slide_list import ListedSlide
from atypia.errors import TableError
from atypia.inference.options import PredictOptions
from atypia.training.recipe_file import read_recipe
from atypia.workflows.evaluate import evaluate_bundle
from atypia.workflows.label_points import label_points
from atypia.workflows.slide import predict_slide
from atypia.workflows.train import train

NORMAL, ATYPICAL = "Normal mitosis", "Atypical mitosis"
POINTS, SIDE = 25, 640


@pytest.fixture(scope="module")
def classified(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two slides of 25 points each, classified for QuPath."""
    folder = tmp_path_factory.mktemp("classified")
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        coarse = rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
        pixels = coarse.repeat(8, axis=0).repeat(8, axis=1)
        per_cm = 1e4 / 0.25
        tifffile.imwrite(
            folder / f"{name}.tif",
            pixels,
            tile=(64, 64),
            photometric="rgb",
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
        )
        places = [(120 + 100 * (at % 5), 120 + 100 * (at // 5)) for at in range(POINTS)]
        rows = "".join(f"{x},{y}\n" for x, y in places)
        (folder / f"{name}.csv").write_text(f"x,y\n{rows}")
        predict_slide(
            folder / f"{name}.tif",
            folder / f"{name}.csv",
            folder / f"{name}.geojson",
            options=PredictOptions(bundle=small_bundle, precision="fp32", threads=1),
            pictures=None,
        )
        features = _read(folder / f"{name}.geojson")
        for number, feature in enumerate(features):  # a small random network calls all alike
            assert _name(feature) == feature["properties"]["metadata"]["Classified as"]
            assert feature["properties"]["metadata"]["Classified by"].startswith("small ")
            call = (NORMAL, ATYPICAL, NORMAL, "Refer")[number % 4]
            _set_class(feature, call)
            feature["properties"]["metadata"]["Classified as"] = call
        _write(folder / f"{name}.geojson", features)
    return folder


def _read(path: Path) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["features"]
    return features


def _write(path: Path, features: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def _name(feature: Mapping[str, Any]) -> str:
    return str(feature["properties"]["classification"]["name"])


def _set_class(feature: dict[str, Any], name: str) -> None:
    """As QuPath does: another class, and everything else as it was."""
    feature["properties"]["classification"] = {"name": name, "color": [1, 2, 3]}


def _other(name: str) -> str:
    return NORMAL if name == ATYPICAL else ATYPICAL


def _correct(features: list[dict[str, Any]]) -> dict[str, tuple[float, str]]:
    """Change 15 classes, lock 4 objects, draw one; return what must become of them, by id."""
    expected = {}
    for feature in features[:15]:
        _set_class(feature, _other(_name(feature)))
        expected[feature["id"]] = (float(_name(feature) == ATYPICAL), CHANGED)
    for feature in features[15:19]:
        feature["properties"]["isLocked"] = True
        if _name(feature) in (NORMAL, ATYPICAL):
            expected[feature["id"]] = (float(_name(feature) == ATYPICAL), LOCKED)
    _set_class(features[19], "Tumor")
    drawn = {
        "type": "Feature",
        "id": str(uuid.uuid4()),
        "geometry": {"type": "Point", "coordinates": [330.5, 341.0]},
        "properties": {"objectType": "annotation", "classification": {"name": ATYPICAL}},
    }
    features.append(drawn)
    return expected | {str(drawn["id"]): (1.0, DRAWN)}


def _listed(folder: Path, name: str, points: Path) -> ListedSlide:
    return ListedSlide(name, f"case of {name}", folder / f"{name}.tif", points, None, None)


def test_what_was_changed_locked_or_drawn_becomes_a_label_and_trains(
    classified: Path, tmp_path: Path
) -> None:
    expected: dict[str, tuple[float, str]] = {}
    listed = []
    for name in ("one", "two"):
        features = _read(classified / f"{name}.geojson")
        of_slide = _correct(features)
        expected |= {f"{name}/{own}": what for own, what in of_slide.items()}
        listed.append(_listed(classified, name, _write(tmp_path / f"{name}.geojson", features)))
    done = label_points({"": listed}, tmp_path / "figures")
    assert done.faults == ()
    assert done.others["Tumor"] == 2
    assert done.untouched + sum(done.others.values()) + len(expected) == 2 * (POINTS + 1)
    assert done.reviews[CHANGED] == 30
    assert not done.only_changed

    table = open_figures(tmp_path / "figures")
    frame = table.frame.set_index("figure_id")
    assert {
        own: (label, review)
        for own, label, review in zip(frame.index, frame["label"], frame["review"], strict=True)
    } == expected
    assert set(frame["case"]) == {"case of one", "case of two"}
    assert set(frame["mpp"]) == {0.25}
    drawn = frame[frame["review"] == DRAWN]
    assert set(zip(drawn["x"], drawn["y"], strict=True)) == {(330.5, 341.0)}
    short = ["backbone.input_px=32", "schedule.epochs=1", "schedule.min_steps=2", "folds.count=2"]
    run = train(tmp_path / "figures", read_recipe("lite", short), tmp_path / "run")
    assert run.judgement.overall.figures == len(expected)


def test_votes_of_several_experts_meet_by_id_or_place(classified: Path, tmp_path: Path) -> None:
    first, second = (_read(classified / "one.geojson") for _ in range(2))
    for feature in first[:3]:
        feature["properties"]["isLocked"] = True
        _set_class(feature, ATYPICAL)
    for feature in second[1:4]:
        _set_class(feature, NORMAL)
        feature["properties"]["metadata"]["Classified as"] = "Refer"  # so that it was changed
    # An object drawn anew, 2 um beside the first of anna's; and one where anna has none.
    x, y = first[0]["geometry"]["coordinates"]
    for number, place in enumerate(([x + 8, y], [x + 40, y + 40])):
        second.append(
            {
                "type": "Feature",
                "id": str(uuid.UUID(int=number + 1)),
                "geometry": {"type": "Point", "coordinates": place},
                "properties": {"classification": {"name": NORMAL}},
            }
        )
    files = {
        name: _write(tmp_path / f"{name}.geojson", features)
        for name, features in (("anna", first), ("ben", second))
    }
    done = label_points(
        {name: [_listed(classified, "one", path)] for name, path in files.items()},
        tmp_path / "votes",
    )
    frame = done.table.frame.set_index("figure_id")[["vote_anna", "vote_ben"]]
    ids = [f"one/{feature['id']}" for feature in first]
    nan = np.nan
    wanted = {
        ids[0]: (1.0, 0.0),
        ids[1]: (1.0, 0.0),
        ids[2]: (1.0, 0.0),
        ids[3]: (nan, 0.0),
        f"one/{uuid.UUID(int=2)}": (nan, 0.0),
    }
    pd.testing.assert_frame_equal(
        frame,
        pd.DataFrame.from_dict(wanted, orient="index", columns=frame.columns).rename_axis(
            "figure_id"
        ),
        check_index_type=False,
    )


def test_all_is_taken_where_somebody_says_that_all_was_looked_at(
    classified: Path, tmp_path: Path
) -> None:
    features = _read(classified / "one.geojson")
    done = label_points(
        {"": [_listed(classified, "one", classified / "one.geojson")]},
        tmp_path / "figures",
        labels={NORMAL: 0.0, ATYPICAL: 1.0, "Refer": 0.0},
        everything=True,
    )
    assert done.reviews[UNCHANGED] == len(done.table) == len(features)


def test_nothing_touched_is_a_line_that_says_what_to_do(classified: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"nobody looked at any of \d+ objects: .*--reviewed all"):
        label_points(
            {"": [_listed(classified, "one", classified / "one.geojson")]}, tmp_path / "figures"
        )
    assert not (tmp_path / "figures").exists()


def test_calls_of_a_version_that_noted_none_are_not_taken_for_labels(
    classified: Path, tmp_path: Path
) -> None:
    features = _read(classified / "one.geojson")
    for feature in features:
        del feature["properties"]["metadata"]
    features[0]["properties"]["isLocked"] = True
    _set_class(features[0], ATYPICAL)
    path = _write(tmp_path / "old.geojson", features)
    done = label_points({"": [_listed(classified, "one", path)]}, tmp_path / "figures")
    assert len(done.table) == 1
    assert done.unknown == done.untouched


def test_a_second_run_says_that_corrections_are_classified_anew(
    classified: Path, small_bundle: Path, tmp_path: Path
) -> None:
    features = _read(classified / "one.geojson")
    for feature in features[:3]:
        _set_class(feature, "Something else")
    path = _write(tmp_path / "corrected.geojson", features)
    before = path.read_bytes()
    done = predict_slide(
        classified / "one.tif",
        path,
        tmp_path / "again.geojson",
        options=PredictOptions(bundle=small_bundle, threads=1),
        pictures=None,
    )
    (warning,) = [line for line in done.warnings if "classified anew" in line]
    assert "3 objects have another class" in warning
    assert path.read_bytes() == before


def test_the_classifiers_errors_alone_judge_nothing(
    classified: Path, small_bundle: Path, tmp_path: Path
) -> None:
    features = _read(classified / "one.geojson")
    for feature in features[:4]:
        _set_class(feature, _other(_name(feature)))
    path = _write(tmp_path / "changed.geojson", features)
    done = label_points({"": [_listed(classified, "one", path)]}, tmp_path / "figures")
    assert done.only_changed
    with pytest.raises(TableError, match="the classifier's errors alone"):
        evaluate_bundle(
            tmp_path / "figures",
            tmp_path / "report.html",
            options=PredictOptions(bundle=small_bundle, threads=1),
        )
    assert not (tmp_path / "report.html").exists()


def test_the_command_names_what_it_left_out(classified: Path, tmp_path: Path) -> None:
    features = _read(classified / "one.geojson")
    _correct(features)
    corrected = _write(tmp_path / "corrected.geojson", features)
    words = ["data", "points", str(classified / "one.tif"), "--points", str(corrected)]
    made = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "figures")])
    assert made.exit_code == 0, made.output
    assert "looked at: 15 changed" in made.output
    assert "left out, as nobody touched them: " in made.output
    assert "'Tumor': 1" in made.output
    again = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "figures")])
    assert "already exists" in str(again.exception)
    meaning = ["--labels", "Tumor=normal", "--out", str(tmp_path / "other")]
    made = CliRunner().invoke(app, [*words, *meaning])
    assert "1 figure written" in made.output
    lists = CliRunner().invoke(
        app,
        [
            *("data", "points", "--expert", f"anna={_list(classified, tmp_path, corrected)}"),
            *("--out", str(tmp_path / "votes")),
        ],
    )
    assert lists.exit_code == 0, lists.output
    frame = open_figures(tmp_path / "votes").frame
    assert frame["vote_anna"].notna().all()
    assert set(frame["laboratory"]) == {"Graz"}


def _list(classified: Path, folder: Path, points: Path) -> Path:
    path = folder / "list.csv"
    path.write_text(f"slide,points,Laboratory\n{classified / 'one.tif'},{points},Graz\n")
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["one.tif"], "give --points FILE"),
        ([], "give SLIDE with --points FILE"),
        (["one.tif", "--expert", "anna"], "expected NAME=FILE"),
        (["one.tif", "--points", "p.csv", "--labels", "Mitosis"], "expected CLASS=atypical"),
        (["one.tif", "--points", "p.csv", "--labels", "Mitosis=maybe"], "expected CLASS=atypical"),
        (["--expert", "a=l.csv", "--mpp", "0.25"], "is of one slide"),
    ],
)
def test_a_command_that_does_not_say_enough_is_told_what_is_missing(
    words: list[str], expected: str, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["data", "points", *words, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert expected in " ".join(done.output.replace("│", " ").split())
