"""A bundle as networks: the logits that were saved, or a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from atypia.bundle.load import load_bundle
from atypia.bundle.save import save_bundle
from atypia.bundle.verify import write_sums
from atypia.errors import AtypiaError, BundleError
from atypia.inference.runtimes.torch import load_members
from atypia.models.adapters import AdapterConfig
from atypia.models.classifier import Classifier
from small_bundles import CALIBRATION, make_manifest, make_member, save_members


@pytest.fixture(scope="module")
def members() -> list[Classifier]:
    return [make_member(0), make_member(1)]


@pytest.fixture
def bundle(tmp_path: Path, members: list[Classifier]) -> Path:
    return save_members(tmp_path / "bundle", members)


def test_gives_the_same_logits_back(bundle: Path, members: list[Classifier]) -> None:
    loaded = load_bundle(bundle)
    networks = load_members(loaded)
    crops = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        for before, after in zip(members, networks, strict=True):
            logit = before(crops).logit
            assert logit.abs().min() > 0
            assert torch.equal(logit, after(crops).logit)
    assert loaded.calibration == CALIBRATION
    assert loaded.manifest == make_manifest(2)
    assert not any(one.training for one in networks)


def test_all_weights_of_a_full_adapter_come_back(tmp_path: Path) -> None:
    full = AdapterConfig(kind="full")
    before = make_member(3, full)
    crops = torch.rand(2, 3, 32, 32)
    save_bundle(
        tmp_path / "full", make_manifest(adapter=full), [before.saved_state()], CALIBRATION, "card"
    )
    after = load_members(load_bundle(tmp_path / "full"))[0]
    with torch.no_grad():
        logit = before(crops).logit
        assert logit.abs().min() > 0
        assert torch.equal(logit, after(crops).logit)


def test_normalisation_is_the_bundles_own(tmp_path: Path, members: list[Classifier]) -> None:
    changed = make_manifest(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    save_bundle(tmp_path / "b", changed, [members[0].saved_state()], CALIBRATION, "card")
    loaded = load_members(load_bundle(tmp_path / "b"))[0]
    assert loaded.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert loaded.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])


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


def test_another_pooling_and_an_unknown_backbone_are_refused(
    tmp_path: Path, members: list[Classifier]
) -> None:
    state = [members[0].saved_state()]
    save_bundle(tmp_path / "p", make_manifest(pooling="CLS"), state, CALIBRATION, "card")
    with pytest.raises(BundleError, match="pooled as 'CLS'"):
        load_members(load_bundle(tmp_path / "p"))
    save_bundle(tmp_path / "b", make_manifest(backbone="light"), state, CALIBRATION, "card")
    with pytest.raises(AtypiaError, match="did you mean lite"):
        load_members(load_bundle(tmp_path / "b"))
