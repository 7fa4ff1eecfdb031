"""The members of a bundle come back as they were saved, or are refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from atypia.bundle.load import load_bundle
from atypia.bundle.manifest import BundleManifest, member_names
from atypia.bundle.save import save_bundle
from atypia.bundle.verify import write_sums
from atypia.errors import AtypiaError, BundleError
from atypia.evaluation.calibration import Calibration
from atypia.inference.runtimes.torch import load_members
from atypia.models.adapters import AdapterConfig
from atypia.models.backbones.registry import backbone_spec
from atypia.models.classifier import Classifier, build_classifier

CALIBRATION = Calibration(1.5, 0.1, 0.4, 0.3, 0.6, "a test")


ADAPTER = AdapterConfig(kind="linear")


def manifest(members: int = 1, **changes: object) -> BundleManifest:
    spec = backbone_spec("lite")
    fields: dict[str, object] = {
        "name": "test",
        "backbone": "lite",
        "adapter": ADAPTER,
        "pooling": spec.pooling,
        "crop_um": 8.0,
        "input_px": 32,
        "training_mpp": (0.23, 0.25),
        "mean": spec.mean,
        "std": spec.std,
        "members": member_names(members),
    }
    return BundleManifest.model_validate(fields | changes)


def member(seed: int) -> Classifier:
    torch.manual_seed(seed)
    return with_a_head(build_classifier("lite", ADAPTER).eval())


def with_a_head(network: Classifier) -> Classifier:
    """Heads begin at zero, and would answer zero whatever becomes of the rest."""
    torch.nn.init.normal_(network.head.weight)
    return network


@pytest.fixture(scope="module")
def members() -> list[Classifier]:
    return [member(0), member(1)]


@pytest.fixture
def bundle(tmp_path: Path, members: list[Classifier]) -> Path:
    folder = tmp_path / "bundle"
    save_bundle(
        folder, manifest(2), [one.saved_state() for one in members], CALIBRATION, "# card\n"
    )
    return folder


def test_all_weights_of_a_full_adapter_come_back(tmp_path: Path) -> None:
    full = AdapterConfig(kind="full")
    torch.manual_seed(3)
    before = with_a_head(build_classifier("lite", full, pretrained=False).eval())
    crops = torch.rand(2, 3, 32, 32)
    save_bundle(
        tmp_path / "full", manifest(adapter=full), [before.saved_state()], CALIBRATION, "card"
    )
    after = load_members(load_bundle(tmp_path / "full"))[0]
    with torch.no_grad():
        logit = before(crops).logit
        assert logit.abs().min() > 0
        assert torch.equal(logit, after(crops).logit)


def test_normalisation_is_the_bundles_own(tmp_path: Path, members: list[Classifier]) -> None:
    changed = manifest(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    save_bundle(tmp_path / "b", changed, [members[0].saved_state()], CALIBRATION, "card")
    loaded = load_members(load_bundle(tmp_path / "b"))[0]
    assert loaded.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert loaded.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])


def test_a_pickle_under_a_members_name_is_not_executed(bundle: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "executed",))

    (bundle / "members" / "0.safetensors").write_bytes(pickle.dumps(Trap()))
    write_sums(bundle)
    with pytest.raises(BundleError, match="cannot be read as safetensors"):
        load_members(load_bundle(bundle))
    assert not (tmp_path / "executed").exists()


def test_weights_of_another_shape_or_name_are_refused(bundle: Path) -> None:
    path = bundle / "members" / "0.safetensors"
    state = load_file(path)
    save_file(state | {"head.bias": torch.zeros(2)}, path)
    write_sums(bundle)
    with pytest.raises(BundleError, match=r"0\.safetensors: tensor 'head.bias' has shape \(2,\)"):
        load_members(load_bundle(bundle))
    save_file({"other": torch.zeros(2)}, path)
    write_sums(bundle)
    with pytest.raises(BundleError, match=r"0\.safetensors: tensor"):
        load_members(load_bundle(bundle))
    save_file({name: tensor * torch.nan for name, tensor in state.items()}, path)
    write_sums(bundle)
    with pytest.raises(BundleError, match="not finite"):
        load_members(load_bundle(bundle))


def test_another_pooling_and_an_unknown_backbone_are_refused(
    tmp_path: Path, members: list[Classifier]
) -> None:
    state = [members[0].saved_state()]
    save_bundle(tmp_path / "p", manifest(pooling="CLS"), state, CALIBRATION, "card")
    with pytest.raises(BundleError, match="pooled as 'CLS'"):
        load_members(load_bundle(tmp_path / "p"))
    save_bundle(tmp_path / "b", manifest(backbone="light"), state, CALIBRATION, "card")
    with pytest.raises(AtypiaError, match="did you mean 'lite'"):
        load_members(load_bundle(tmp_path / "b"))
