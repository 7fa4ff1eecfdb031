"""The walk-through of docs/foundation-models.md, command by command, on a small network.

H-optimus-0's own architecture with one block instead of forty, its weights in a file of the same
layout. `fetch` and `torchrun` are left out: the one needs the hub, the other is tested with `lite`.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from atypia.cli.main import app
from atypia.data.phantom import make_phantom
from atypia.models.backbones import registry
from atypia.models.vit import timm_vit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "foundation-models.md"
QUICK = (
    *("folds.count=2", "schedule.epochs=1", "schedule.min_steps=1", "schedule.batch_size=8"),
    "backbone.input_px=56",  # 16 patches instead of 256; the weights are of 224 px
)


def _commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [shlex.split(line) for line in "".join(blocks).splitlines()]
    return [line[1:] for line in lines if line[0] == "atypia" and line[1:3] != ["models", "fetch"]]


def test_every_command_of_the_walk_through_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_hub: Path
) -> None:
    published = registry.backbone_spec("h-optimus-0")
    small = replace(published, build=lambda spec, side, _: timm_vit(spec, side, 1))
    monkeypatch.setitem(registry._SPECS, "h-optimus-0", small)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    Path("weights").mkdir()
    save_file(small.create().state_dict(), Path("weights") / small.files[0])
    make_phantom(Path("ami-br"), figures=24, domains=2, slides_per_domain=6, size_px=96, seed=0)
    Path("my_crops").symlink_to("ami-br/images")
    ran = []
    for command in _commands():
        more = [word for change in QUICK for word in ("--set", change)]
        done = CliRunner().invoke(app, command + (more if command[0] == "train" else []))
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, (command, done.output)
        ran.append(command[0])
    assert ran == ["models", "models", "data", "train", "train", "predict", "bundle"]
    assert len(list(Path("embeddings").rglob("*.safetensors"))) == 1
    frame = pd.read_csv("predictions.csv")
    assert len(frame) == 24
    assert frame["p_atypical"].between(0, 1).all()
    size = sum(path.stat().st_size for path in Path("runs/h-optimus-0/bundle").rglob("*"))
    assert size < 5e6  # two members of one block; the network itself is 130 MB
