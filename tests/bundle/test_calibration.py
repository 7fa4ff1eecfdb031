"""The calibration of a bundle as it lies in its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atypia.bundle.load import load_bundle
from atypia.bundle.verify import write_sums
from atypia.errors import BundleError
from small_bundles import CALIBRATION

NEW_IN_CALIBRATION = ("refer_rule", "refer_risk", "prevalence")


def test_a_faulty_calibration_is_refused(bundle: Path) -> None:
    (bundle / "calibration.json").write_text('{"temperature": 0}')
    write_sums(bundle)
    with pytest.raises(
        BundleError, match=r"calibration\.json: calibration: temperature: .* got 0 "
    ):
        load_bundle(bundle)


def test_a_bundle_from_before_the_refer_rule_still_loads(bundle: Path) -> None:
    path = bundle / "calibration.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["refer_risk"] is None
    older = {name: written[name] for name in written if name not in NEW_IN_CALIBRATION}
    path.write_text(json.dumps(older), encoding="utf-8")
    write_sums(bundle)
    assert load_bundle(bundle).calibration == CALIBRATION


@pytest.mark.parametrize("name", ["bundle.json", "calibration.json"])
def test_json_nested_too_deeply_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).write_text("[" * 100_000)
    write_sums(bundle)
    with pytest.raises(BundleError, match=rf"{name}: cannot be read as JSON"):
        load_bundle(bundle)
