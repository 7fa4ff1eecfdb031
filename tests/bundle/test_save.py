"""A bundle is saved whole, found changed by one byte, and gives the same logits back."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from atypia.bundle.card import model_card
from atypia.bundle.load import load_bundle
from atypia.bundle.manifest import BundleManifest, member_names, read_manifest
from atypia.bundle.save import save_bundle
from atypia.bundle.verify import bundle_faults, bundle_hash, write_sums
from atypia.errors import AtypiaError, BundleError
from atypia.evaluation.calibration import Calibration
from atypia.files import NOTES_FOLDER
from atypia.inference.runtimes.torch import load_members
from atypia.models.adapters import AdapterConfig
from atypia.models.backbones.registry import backbone_spec
from atypia.models.classifier import Classifier, build_classifier

CALIBRATION = Calibration(1.5, 0.1, 0.4, 0.3, 0.6, "a test")
NEW_IN_CALIBRATION = ("refer_rule", "refer_risk", "prevalence")
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


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


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
    assert loaded.manifest == manifest(2)
    assert not any(one.training for one in networks)


def test_a_changed_byte_is_found_in_every_file(bundle: Path) -> None:
    for name, data in contents(bundle).items():
        for place in {0, len(data) // 2, len(data) - 1}:
            for flip in (0x01, 0x20, 0x80):
                changed = bytearray(data)
                changed[place] ^= flip
                (bundle / name).write_bytes(changed)
                assert bundle_faults(bundle), f"{name}, byte {place} ^ {flip}"
        (bundle / name).write_bytes(data)
    assert bundle_faults(bundle) == []


def test_every_byte_of_the_list_of_hashes_counts(bundle: Path) -> None:
    sums = bundle / "sha256sums"
    data = sums.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x20
        sums.write_bytes(changed)
        assert bundle_faults(bundle), f"byte {place}: {bytes(changed[place : place + 1])!r}"


def test_the_list_of_hashes_is_that_of_coreutils(bundle: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "sha256sums"],
        cwd=bundle,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(contents(bundle)) - 1


def test_loading_refuses_a_changed_bundle_and_names_the_file(bundle: Path) -> None:
    path = bundle / "members" / "1.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"1\.safetensors: has changed since") as caught:
        load_bundle(bundle)
    assert "\n" not in str(caught.value)


def test_extra_missing_and_doubled_files_are_faults(bundle: Path) -> None:
    (bundle / "members" / "9.pt").write_bytes(b"x")
    assert any("9.pt: is not listed" in fault for fault in bundle_faults(bundle))
    (bundle / "members" / "9.pt").unlink()
    (bundle / "card.md").unlink()
    assert any("'card.md' is listed" in fault for fault in bundle_faults(bundle))
    sums = bundle / "sha256sums"
    sums.write_text(sums.read_text() + sums.read_text())
    assert any("a second time" in fault for fault in bundle_faults(bundle))
    sums.unlink()
    assert any("sha256sums: missing" in fault for fault in bundle_faults(bundle))


def test_links_are_refused(bundle: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "card.md"
    (bundle / "card.md").rename(elsewhere)
    (bundle / "card.md").symlink_to(elsewhere)
    assert any("is a link" in fault for fault in bundle_faults(bundle))
    with pytest.raises(BundleError, match="is a link"):
        load_bundle(bundle)


def test_a_pipe_is_named_and_never_read(bundle: Path) -> None:
    os.mkfifo(bundle / "pipe")
    assert any("pipe: is neither a file" in fault for fault in bundle_faults(bundle))


@pytest.mark.parametrize(
    "name", ["../0.safetensors", "members/../x.safetensors", "/etc/passwd", "members/0.pt"]
)
def test_members_cannot_lie_elsewhere(bundle: Path, name: str) -> None:
    path = bundle / "bundle.json"
    found = json.loads(path.read_text()) | {"members": [name]}
    path.write_text(json.dumps(found))
    write_sums(bundle)
    with pytest.raises(BundleError, match=r"must look like 'members/0.safetensors'"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"format_version": 2},
            "has format version 2, but this atypia reads up to 1; install a newer",
        ),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"crop_um": -1}, "crop_um"),
        ({"classes": ["atypical", "normal"]}, "classes"),
        ({"training_mpp": [0.5, 0.25]}, "training_mpp"),
        ({"std": [0, 1, 1]}, "std"),
        ({"members": []}, "members"),
    ],
)
def test_a_faulty_manifest_is_one_line(
    bundle: Path, change: dict[str, object], message: str
) -> None:
    path = bundle / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=message) as caught:
        read_manifest(bundle)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_faulty_calibration_is_refused(bundle: Path) -> None:
    (bundle / "calibration.json").write_text('{"temperature": 0}')
    write_sums(bundle)
    with pytest.raises(BundleError, match=r"calibration\.json: calibration: bias is missing"):
        load_bundle(bundle)


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        load_bundle(tmp_path / "nothing")


def test_a_bundle_is_replaced_whole(bundle: Path, members: list[Classifier]) -> None:
    save_bundle(bundle, manifest(1), [members[1].saved_state()], CALIBRATION, "# new\n")
    assert set(contents(bundle)) == {
        "bundle.json",
        "calibration.json",
        "card.md",
        "members/0.safetensors",
        "sha256sums",
    }
    assert bundle_faults(bundle) == []
    assert {path.name for path in bundle.parent.iterdir()} == {"bundle", NOTES_FOLDER}


def test_a_full_disk_leaves_the_old_bundle(
    bundle: Path, members: list[Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(bundle)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("atypia.bundle.save.write_sums", full)
    with pytest.raises(AtypiaError, match=r"No space left on device.*free some space") as caught:
        save_bundle(bundle, manifest(1), [members[0].saved_state()], CALIBRATION, "new")
    assert "\n" not in str(caught.value)
    assert contents(bundle) == before
    assert {path.name for path in bundle.parent.iterdir()} == {"bundle", NOTES_FOLDER}


def test_a_folder_of_other_files_is_never_replaced(
    tmp_path: Path, members: list[Classifier]
) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(BundleError, match="contains files but is not a bundle"):
        save_bundle(tmp_path, manifest(1), [members[0].saved_state()], CALIBRATION, "card")
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_the_hash_tells_bundles_apart(bundle: Path, members: list[Classifier]) -> None:
    before = bundle_hash(bundle)
    save_bundle(bundle, manifest(1), [members[0].saved_state()], CALIBRATION, "# card\n")
    assert bundle_hash(bundle) != before


def test_a_bundle_from_before_the_refer_rule_still_loads(bundle: Path) -> None:
    path = bundle / "calibration.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["refer_risk"] is None
    older = {name: written[name] for name in written if name not in NEW_IN_CALIBRATION}
    path.write_text(json.dumps(older), encoding="utf-8")
    write_sums(bundle)
    assert load_bundle(bundle).calibration == CALIBRATION


def test_the_card_tells_limits_operating_point_and_domains() -> None:
    by_domain = pd.DataFrame(
        {"domain": ["breast | XR", "all"], "auroc": [0.91234, float("nan")], "figures": [3, 9]}
    )
    card = model_card(
        manifest(2), CALIBRATION, data="AMi-Br", licence="CC-BY-4.0", by_domain=by_domain
    )
    assert "no medical device" in card
    assert "Called atypical above 0.4; referred to a person from 0.3 to 0.6" in card
    assert "Refer band: not recorded" in card
    assert "| breast \\| XR | 0.912 | 3 |" in card
    assert "| all | - | 9 |" in card
    known = replace(CALIBRATION, refer_rule="promises nothing", prevalence=0.2239)
    card = model_card(manifest(2), known, data="x", licence="y", by_domain=by_domain)
    assert "- Refer band: promises nothing\n" in card
    assert "holds for: 22.4 %" in card
    empty = model_card(
        manifest(1), CALIBRATION, data="x", licence="y", by_domain=by_domain.iloc[:0]
    )
    assert "has not been evaluated" in empty


@pytest.mark.parametrize("name", ["bundle.json", "calibration.json"])
def test_json_nested_too_deeply_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).write_text("[" * 100_000)
    write_sums(bundle)
    with pytest.raises(BundleError, match=rf"{name}: cannot be read as JSON"):
        load_bundle(bundle)


def test_a_newer_format_is_named_in_few_words(bundle: Path) -> None:
    (bundle / "bundle.json").write_text('{"format_version": ' + "9" * 4000 + "}")
    with pytest.raises(BundleError, match="has format version 999") as refused:
        read_manifest(bundle)
    assert len(str(refused.value)) < 400
