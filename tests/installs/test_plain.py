"""The plain install, without torch: what works in it, and what says which extra it needs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from typer.main import get_command

from atypia.cli.main import app
from atypia.data.phantom import make_phantom
from atypia.extras import EXTRAS
from atypia.study.create import create_study
from docs_commands import ROOT
from docs_inputs import write_stack

PLAIN = ROOT / ".venv-plain" / "bin"

#: Each verb, the extra that it needs ("": none), and what is typed behind it here.
VERBS: dict[str, tuple[str, str]] = {
    "ablate": ("train", "cohort --plan components --out o"),
    "bundle export": ("train", "bundle"),
    "bundle show": ("", "bundle"),
    "bundle verify": ("", "bundle"),
    "challenge midog25-t2": ("", "--input case/input --output answers --bundle bundle"),
    "data check": ("", "cohort"),
    "data describe": ("", "cohort"),
    "data import": ("", "cohort --out imported"),
    "data phantom": ("", "phantom --figures 8"),
    "data points": ("slides", "slide.tif --points points.csv --out labelled"),
    "demo": ("train", "demo"),
    "doctor": ("", ""),
    "evaluate": ("", "--bundle bundle --table cohort --out report.html"),
    "models fetch": ("train", "uni2-h"),
    "models show": ("train", "uni2-h"),
    "models list": ("train", ""),
    "predict": ("", "cohort --bundle bundle --out predictions.csv"),
    "recipes list": ("train", ""),
    "recipes show": ("train", "lite"),
    "serve": ("serve", "--bundle bundle --port 0"),
    "slide": ("slides", "slide.tif --points points.csv --out points.geojson"),
    "slides": ("slides", "slides.csv --out results"),
    "train": ("train", "cohort --out run"),
    "vote agree": ("", "closed"),
    "vote close": ("", "to-close --now"),
    "vote collect": ("", "study answers.json"),
    "vote export": ("", "closed --out voted/figures.csv"),
    "vote new": ("", "cohort --experts anna,ben --rule all --out votes"),
    "vote page": ("", "study --expert anna --out anna.html"),
    "vote serve": ("serve", "study"),
}


@pytest.fixture(scope="module")
def plain() -> Path:
    if not (PLAIN / "atypia").exists():
        pytest.fail("the plain install is missing; make it with `make .venv-plain/installed`")
    return PLAIN


@pytest.fixture(scope="module")
def place(small_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the verbs take."""
    folder = tmp_path_factory.mktemp("plain")
    shutil.copytree(small_export.parents[1], folder / "bundle")
    make_phantom(folder / "cohort", figures=60, domains=2, size_px=64)
    for name in ("study", "closed", "to-close"):
        study = create_study(folder / "cohort", folder / name, ["anna"], rule="all").study
        if name == "closed":
            study.close(now=True)
        if name == "study":
            sheet = {"format_version": 1, "study": study.id, "expert": "anna", "votes": []}
            (folder / "answers.json").write_text(json.dumps(sheet))
        study.store.close()
    pages = make_phantom(folder.parent / "pages", figures=3, domains=1, size_px=128)
    write_stack(folder / "case", list(pages.image_paths()))
    return folder


def run(place: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, words)], cwd=place, capture_output=True, text=True, check=False, timeout=120
    )


def test_every_verb_is_in_the_table() -> None:
    command = get_command(app)
    verbs = set()
    for name, verb in command.commands.items():
        parts = getattr(verb, "commands", None)
        verbs |= {name} if parts is None else {f"{name} {part}" for part in parts}
    assert set(VERBS) == verbs


def test_nothing_that_trains_is_installed(plain: Path, place: Path) -> None:
    trains = [*EXTRAS["train"], "pyarrow", "openvino"]
    code = f"from importlib.util import find_spec as f; print([m for m in {trains} if f(m)])"
    assert run(place, plain / "python", "-c", code).stdout == "[]\n"


@pytest.mark.parametrize("verb", [verb for verb, (extra, _) in VERBS.items() if not extra])
def test_it_works_without_an_extra(plain: Path, place: Path, verb: str) -> None:
    done = run(place, plain / "atypia", *verb.split(), *VERBS[verb][1].split())
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stdout + done.stderr


@pytest.mark.parametrize("verb", [verb for verb, (extra, _) in VERBS.items() if extra])
def test_it_names_the_extra_it_needs_before_any_work(plain: Path, place: Path, verb: str) -> None:
    before = sorted(place.rglob("*"))
    extra, words = VERBS[verb]
    done = run(place, plain / "atypia", *verb.split(), *words.split())
    assert done.returncode == 2
    assert done.stdout == ""
    module = done.stderr.removeprefix(f"atypia {verb} needs ").partition(",")[0]
    assert module in EXTRAS[extra]
    assert done.stderr == (
        f"atypia {verb} needs {module}, which is not installed; pip install 'atypia[{extra}]'\n"
    )
    assert sorted(place.rglob("*")) == before


def test_its_answers_are_those_of_torch(plain: Path, place: Path) -> None:
    words = ["predict", "cohort", "--bundle", "bundle", "--out", "plain.csv"]
    assert run(place, plain / "atypia", *words).returncode == 0
    from atypia.workflows.predict import predict

    predict(
        place / "cohort",
        place / "torch.csv",
        bundle=place / "bundle",
        runtime="torch",
        precision="fp32",
    )
    one, other = (pd.read_csv(place / f"{name}.csv") for name in ("plain", "torch"))
    assert (one["p_atypical"] - other["p_atypical"]).abs().max() < 1e-4
    assert list(one["call"]) == list(other["call"])
    record = json.loads((place / "plain.run.json").read_text(encoding="utf-8"))
    assert record["runtime"].startswith("onnxruntime ")


def test_a_bundle_that_is_not_exported_says_what_to_do(
    plain: Path, place: Path, small_bundle: Path
) -> None:
    done = run(place, plain / "atypia", "predict", "cohort", "--bundle", small_bundle)
    assert done.returncode == 2
    assert done.stderr == (
        f"{small_bundle}: holds no exported network that can be used here, and torch, which "
        "computes any bundle, is not installed; pip install 'atypia[train]', or export the bundle "
        f"where that is installed, with `atypia bundle export {small_bundle}`\n"
    )


@pytest.mark.parametrize("out", ["p.parquet", "imported.parquet"])
def test_a_parquet_table_names_its_extra(plain: Path, place: Path, out: str) -> None:
    verb = ["predict", "cohort", "--bundle", "bundle", "--out", out]
    done = run(place, plain / "atypia", *verb)
    assert done.returncode == 2
    assert done.stderr == (
        f"{out}: a Parquet table needs pyarrow, which is not installed; "
        "pip install 'atypia[parquet]'\n"
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("train", "atypia.train needs .*; pip install 'atypia\\[train\\]'"),
        ("predict_slide", "atypia.predict_slide needs .*; pip install 'atypia\\[slides\\]'"),
    ],
)
def test_in_python_the_extra_is_named_too(plain: Path, place: Path, name: str, says: str) -> None:
    code = (
        "import re, atypia\n"
        f"try:\n    atypia.{name}\n"
        f"except atypia.AtypiaError as fault:\n    print(bool(re.fullmatch({says!r}, str(fault))))"
    )
    assert run(place, plain / "python", "-c", code).stdout == "True\n"
