"""Tasks for Label Studio, held against its own rules as they are documented.

`label-studio-sdk` 2.1.2 accepts them (`LabelInterface.validate_prediction`, tried by hand), but
brings 500 MB: what it checks is checked here.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from atypia.errors import AtypiaError
from atypia.inference.label_studio import (
    LABELLING,
    find_addresses,
    name_model,
    open_tasks,
    require_tasks_name,
)
from atypia.inference.sources import open_sources
from prediction_rows import rows


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((40, 40, 3), 200, np.uint8)).save(path)
    return path


def require_fits(task: dict, labelling: str) -> None:
    """Require what Label Studio does of a task and its predictions."""
    root = ElementTree.fromstring(labelling)
    objects = {each.get("name"): each for each in root if (each.get("value") or "").startswith("$")}
    controls = {each.get("name"): each for each in root if each.get("toName")}
    assert {each.get("value")[1:] for each in objects.values()} <= task["data"].keys()
    for prediction in task["predictions"]:
        assert prediction.keys() == {"model_version", "score", "result"}
        assert 0 <= prediction["score"] <= 1
        for region in prediction["result"]:
            control = controls[region["from_name"]]
            assert region["to_name"] == control.get("toName") in objects
            assert region["type"] == control.tag.lower()
            allowed = {choice.get("value") for choice in control}
            assert set(region["value"]["choices"]) <= allowed


def test_every_row_is_a_task_that_fits_the_labelling_of_the_docs(tmp_path: Path) -> None:
    table, out = rows(0, 5), tmp_path / "tasks.json"
    addresses = {name: f"/data/local-files/?d={n}.png" for n, name in enumerate(table["figure_id"])}
    with open_tasks(out, addresses, name_model("lite", "0123456789abcdef")) as write:
        write(table[:2])
        write(table[2:])
    tasks = json.loads(out.read_text(encoding="utf-8"))
    assert [task["data"]["figure_id"] for task in tasks] == list(table["figure_id"])
    for task, row in zip(tasks, table.itertuples(), strict=True):
        require_fits(task, LABELLING)
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "lite 0123456789ab"
        (region,) = prediction["result"]
        assert region["value"]["choices"] == [str(row.call).capitalize()]
        p = row.p_atypical if row.call == "atypical" else 1 - row.p_atypical
        assert prediction["score"] == p
        assert task["data"]["image"] == addresses[row.figure_id]
        words = ("refer to a person" if row.refer else "certain", row.p_atypical)
        assert (task["data"]["refer"], task["data"]["p_atypical"]) == words
    page = Path(__file__).parents[2] / "docs" / "label-studio.md"
    assert LABELLING in page.read_text(encoding="utf-8")


def test_nothing_predicted_is_a_list_without_tasks(tmp_path: Path) -> None:
    with open_tasks(tmp_path / "tasks.json", {}, "m"):
        pass
    assert json.loads((tmp_path / "tasks.json").read_text()) == []


def test_an_image_is_named_by_its_path_below_the_folder_of_the_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image(tmp_path / "crops" / "a b&d=é#1.png")
    image(tmp_path / "set" / "t.png")
    pd.DataFrame({"figure_id": ["t"], "image": ["t.png"], "slide": ["s"]}).to_csv(
        tmp_path / "set" / "figures.csv", index=False
    )
    monkeypatch.chdir(tmp_path / "set")
    sources = open_sources([Path("../crops"), Path("figures.csv")])
    found = find_addresses(sources, tmp_path / "tasks.json")
    parts = [urlsplit(address) for address in found.values()]
    assert {part.path for part in parts} == {"/data/local-files/"}
    assert [parse_qs(part.query)["d"] for part in parts] == [
        ["crops/a b&d=é#1.png"], ["set/t.png"],
    ]  # fmt: skip


def test_an_image_that_label_studio_could_not_serve_is_refused(tmp_path: Path) -> None:
    one = image(tmp_path / "crops" / "a.png")
    with pytest.raises(AtypiaError, match=r"a\.png: does not lie below .*above all images"):
        find_addresses(open_sources([one]), tmp_path / "other" / "tasks.json")
    stack = tmp_path / "stack.tif"
    pages = [Image.new("RGB", (40, 40))] * 2
    pages[0].save(stack, save_all=True, append_images=pages[1:])
    with pytest.raises(AtypiaError, match=r"stack\.tif#1: has no image file of its own"):
        find_addresses(open_sources([stack]), tmp_path / "tasks.json")


def test_tasks_are_json(tmp_path: Path) -> None:
    with pytest.raises(AtypiaError, match=r"p\.csv: Label Studio imports \.json; call it p\.json"):
        require_tasks_name(tmp_path / "p.csv")
    require_tasks_name(tmp_path / "p.JSON")
    (tmp_path / "d.json").mkdir()
    with pytest.raises(AtypiaError, match="is a folder"):
        require_tasks_name(tmp_path / "d.json")
