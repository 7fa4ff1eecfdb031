"""Alignment to a laboratory: what its figures without labels change, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

import atypia
from atypia.errors import AtypiaError, OptionError
from atypia.inference.predictor import Predictor
from small_bundles import copy_bundle

MEANS = {"prevalence": 0.2, "normal_logit": -2.0, "atypical_logit": 1.0}
EXPECTED = -2.0 + 0.2 * 3.0


@pytest.fixture
def bundle(small_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that knows the mean logits of its training figures."""
    return copy_bundle(small_bundle, tmp_path / "bundle", **MEANS)


@pytest.fixture
def predict(bundle: Path, crop_folder: Path) -> Callable[..., Path]:
    """Predict 60 crops of a laboratory; return the table."""
    images = sorted(path for path in crop_folder.iterdir() if path.suffix == ".png")

    def run(out: Path, **options: object) -> Path:
        copies = out.parent / f"{out.stem}-crops"
        copies.mkdir()
        for number in range(60):
            shutil.copy(images[number % len(images)], copies / f"{number}.png")
        keywords = {"bundle": bundle, "precision": "fp32", "threads": 1, **options}
        atypia.predict(copies, out, mpp=0.25, **keywords)  # type: ignore[arg-type]
        return out

    return run


def test_p_moves_half_of_the_way_to_the_mean_of_training(
    tmp_path: Path, predict: Callable[..., Path]
) -> None:
    table = predict(tmp_path / "lab.csv")
    aligned = predict(tmp_path / "aligned.csv", align_to=table)
    before, after = (logit(pd.read_csv(path)["p_atypical"].to_numpy()) for path in (table, aligned))
    mean = (before.mean() - 0.1) * 1.5  # of the network's logits: temperature 1.5, bias 0.1
    expected = 0.5 * (EXPECTED - mean) / 1.5
    np.testing.assert_allclose(after - before, expected, atol=1e-5)
    assert abs(expected) > 0.1
    record = json.loads((tmp_path / "aligned.run.json").read_text(encoding="utf-8"))
    assert record["align_to"] == str(table)
    assert record["aligned_by"] == pytest.approx(expected, abs=1e-5)
    plain = json.loads((tmp_path / "lab.run.json").read_text(encoding="utf-8"))
    assert plain["align_to"] is plain["aligned_by"] is None


def test_a_prevalence_says_what_mean_is_expected_and_that_of_the_table_does_not_matter(
    tmp_path: Path, bundle: Path, predict: Callable[..., Path]
) -> None:
    table = predict(tmp_path / "lab.csv")
    other = predict(tmp_path / "other.csv", prevalence=0.6)
    found = [
        Predictor.load(bundle, align_to=path, prevalence=0.5).calibration for path in (table, other)
    ]
    assert found[0].bias == pytest.approx(found[1].bias, abs=1e-6)
    rare = Predictor.load(bundle, align_to=table, prevalence=0.1)
    often = Predictor.load(bundle, align_to=table, prevalence=0.5)
    assert rare.aligned_by is not None and often.aligned_by is not None
    assert often.aligned_by - rare.aligned_by == pytest.approx(0.5 * 0.4 * 3.0 / 1.5)


def test_a_table_of_any_format_may_be_aligned_to(
    tmp_path: Path, bundle: Path, predict: Callable[..., Path]
) -> None:
    tables = [predict(tmp_path / f"lab-{ending}.{ending}") for ending in ("csv", "parquet", "json")]
    moved = [Predictor.load(bundle, align_to=table).aligned_by for table in tables]
    assert moved[0] == pytest.approx(moved[1]) == pytest.approx(moved[2])


def test_certain_figures_do_not_move_it_without_end(tmp_path: Path, bundle: Path) -> None:
    calibration = Predictor.load(bundle).calibration
    assert np.isfinite(calibration.logit([0.0, 1.0])).all()
    p = np.array([1e-6, 0.3, 0.999999])
    np.testing.assert_allclose(calibration.probability(calibration.logit(p)), p, rtol=1e-9)
    np.testing.assert_allclose(calibration.logit(expit(0.1)), 0.0, atol=1e-12)


def test_what_cannot_be_aligned_to_is_named_in_a_line(
    tmp_path: Path, small_bundle: Path, bundle: Path, predict: Callable[..., Path]
) -> None:
    table = predict(tmp_path / "lab.csv")
    record = tmp_path / "lab.run.json"

    def refused(path: Path, problem: str, folder: Path = bundle) -> None:
        with pytest.raises(OptionError) as caught:
            Predictor.load(folder, align_to=path)
        assert str(caught.value).startswith(f"align_to {path}: {problem}")
        assert "\n" not in str(caught.value)

    refused(tmp_path / "none.csv", "there is no such file")
    refused(record, "")
    other = copy_bundle(small_bundle, tmp_path / "other", **(MEANS | {"normal_logit": -1.0}))
    refused(table, "was predicted by another bundle; predict its figures again with", other)
    few = tmp_path / "few.csv"
    pd.read_csv(table).head(49).to_csv(few, index=False)
    shutil.copy(record, tmp_path / "few.run.json")
    refused(few, "holds 49 figures, expected 50 or more")
    twice = predict(tmp_path / "twice.csv", align_to=table)
    refused(twice, "was aligned itself; predict its figures again without --align-to")
    for text in ("", "[]", "{}", '{"bundle_sha256": 3}', "\x00"):
        record.write_text(text, encoding="utf-8")
        refused(table, f"the record of its run, {record}, cannot be read; predict")
    record.unlink()
    refused(table, f"the record of its run, {record}, cannot be read; predict")


def test_an_older_bundle_says_that_it_does_not_know_its_means(
    tmp_path: Path, small_bundle: Path, predict: Callable[..., Path]
) -> None:
    older = copy_bundle(small_bundle, tmp_path / "older")
    table = predict(tmp_path / "lab.csv", bundle=older)
    with pytest.raises(
        OptionError, match=r"the bundle does not say which logits .* train it again"
    ):
        Predictor.load(older, align_to=table)


def test_neither_the_table_nor_its_record_is_replaced(
    tmp_path: Path, bundle: Path, crop_folder: Path, predict: Callable[..., Path]
) -> None:
    table = predict(tmp_path / "lab.csv")
    before = table.read_bytes(), (tmp_path / "lab.run.json").read_bytes()
    for out in (table, tmp_path / "lab.parquet"):
        with pytest.raises(AtypiaError, match="is an input of this run"):
            atypia.predict(crop_folder, out, mpp=0.25, bundle=bundle, align_to=table)
    assert (table.read_bytes(), (tmp_path / "lab.run.json").read_bytes()) == before
