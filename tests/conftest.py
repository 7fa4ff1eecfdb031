"""Fixtures for all tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from warm_python import WarmPython

if TYPE_CHECKING:
    from atypia.models.backbones.registry import BackboneSpec

# Begun first, so that at the end no process waits long for the other.
LONGEST = (
    "docs/test_docs_commands.py",
    "apps/vote/test_browser.py",
    "test_offline.py",
    "contracts/test_runtimes.py",
    "workflows/test_ablate.py",
    "workflows/test_processes.py",
    "contracts/test_backbones.py",
    "challenges/midog25/test_program.py",
    "workflows/test_train.py",
    "training/test_resume.py",
    "training/test_every_key.py",
    "workflows/test_slides.py",
    "examples/test_qupath_script.py",
    "cli/test_streams.py",
    "cli/test_ablate.py",
    "cli/test_bundle.py",
)
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the others stay in their order."""
    longest = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: longest.get(item.path, len(longest)))


@pytest.fixture(scope="session")
def ami_br() -> Path:
    """The 2,894 figures of AMi-Br's training part, where they lie beside the project."""
    return _real_figures("ami-br", "AMI-BR.csv")


@pytest.fixture(scope="session")
def atnorm_md() -> Path:
    """The 2,107 figures of AtNorM-MD, where they lie beside the project."""
    return _real_figures("atnorm-md", "figures.csv")


def _real_figures(name: str, table: str) -> Path:
    if not (SHARED_DATA / name / table).is_file():
        pytest.skip(f"the real figures (shared/data/{name}) do not lie beside this project")
    return SHARED_DATA / name


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two members on 32 px, untrained but for ImageNet; P varies widely."""
    import torch

    from atypia.bundle.manifest import BundleManifest, member_names
    from atypia.bundle.save import save_bundle
    from atypia.evaluation.calibration import Calibration
    from atypia.models.adapters import AdapterConfig
    from atypia.models.backbones.registry import backbone_spec
    from atypia.models.classifier import build_classifier

    spec, adapter = backbone_spec("lite"), AdapterConfig(kind="linear")
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        member = build_classifier("lite", adapter)
        torch.nn.init.normal_(member.head.weight, std=0.1)
        states.append(member.saved_state())
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
        members=member_names(2),
    )
    folder = tmp_path_factory.mktemp("bundles") / "small"
    calibration = Calibration(1.5, 0.1, 0.5, 0.4, 0.6, "nothing: a test")
    save_bundle(folder, manifest, states, calibration, "# small\n\nNo medical device.\n")
    return folder


@pytest.fixture(scope="session")
def crop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve crops of 40 px, 1.png to 12.png, no two alike."""
    import numpy as np
    from PIL import Image

    folder = tmp_path_factory.mktemp("crops")
    rng = np.random.default_rng(0)
    for number in range(1, 13):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        coarse.resize((40, 40), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def small_export(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported network of the small bundle, in the folder `exported` of a copy of it."""
    from atypia.inference.export import export_onnx

    folder = tmp_path_factory.mktemp("export") / "bundle"
    shutil.copytree(small_bundle, folder)
    return export_onnx(folder)


@pytest.fixture
def exported_copy(tmp_path: Path, small_bundle: Path, small_export: Path) -> Path:
    """A copy of the small bundle with its exported network, that a test may spoil."""
    return Path(shutil.copytree(small_export.parents[1], tmp_path / "bundle"))


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty Hugging Face cache and no connection, whatever this machine has; the cache."""
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, no_hub: Path) -> BackboneSpec:
    """A small vision transformer under the key `stand-in`, published like the large ones."""
    from atypia.models.backbones import registry

    spec = registry.BackboneSpec(
        key="stand-in",
        architecture="vit_tiny_patch16_224",
        arguments={"depth": 2, "embed_dim": 48, "reg_tokens": 2},
        parameters=100_000,
        embedding=96,
        pooling="token+mean",
        input_px=64,
        patch_px=16,
        repository="someone/stand-in",
        licence="none",
        access="gated",
        citation="nobody",
    )
    registry.backbone_keys()
    monkeypatch.setitem(registry._SPECS, spec.key, spec)
    return spec


@pytest.fixture(scope="session")
def warm_python() -> Iterator[WarmPython]:
    """Starts processes of Python that have imported atypia and torch already."""
    with tempfile.TemporaryDirectory(prefix="warm") as folder:  # a socket wants a short path
        python = WarmPython(Path(folder))
        yield python
        python.close()
