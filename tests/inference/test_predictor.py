"""What the predictor promises: order, independence of the batch, nothing lost, nothing silent."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from atypia.bundle.load import load_bundle
from atypia.bundle.verify import write_sums
from atypia.data.predictions import PREDICTION_COLUMNS, check_predictions
from atypia.errors import AtypiaError, ImageError
from atypia.inference.crops import CropSpec, make_crop, stack_crops
from atypia.inference.options import PredictOptions
from atypia.inference.predictor import Predictor
from atypia.inference.sources import Figure


@pytest.fixture(scope="module")
def predictor(small_bundle: Path) -> Predictor:
    return Predictor.load(small_bundle, precision="fp32", threads=1)


def test_the_table_is_what_evaluate_reads(predictor: Predictor, paths: list[Path]) -> None:
    frame = predictor.predict(paths, mpp=0.25)
    assert list(frame.columns) == list(PREDICTION_COLUMNS)
    assert list(frame["image"]) == [str(path) for path in paths]
    checked = check_predictions(frame)
    assert (checked["p_atypical"] == frame["p_atypical"]).all()
    assert frame["p_atypical"].between(0, 1).all()
    assert frame["p_atypical"].nunique() == len(paths)


def test_p_is_the_calibrated_mean_logit_and_spread_that_of_the_members(
    predictor: Predictor, paths: list[Path]
) -> None:
    spec = CropSpec(8.0, 32, 0.25, 0.2)
    crops = stack_crops([make_crop(np.asarray(Image.open(path)), 0.25, spec) for path in paths])
    logits = predictor.runtime.infer(crops).logits.astype(np.float64)
    expected = 1 / (1 + np.exp(-(logits.mean(axis=0) / 1.5 + 0.1)))
    each = 1 / (1 + np.exp(-(logits / 1.5 + 0.1)))
    frame = predictor.predict(paths, mpp=0.25)
    np.testing.assert_allclose(frame["p_atypical"], expected, atol=1e-4)
    np.testing.assert_allclose(frame["spread"], each.std(axis=0), atol=1e-4)
    assert list(frame["call"]) == ["atypical" if p > 0.5 else "normal" for p in expected]
    assert list(frame["refer"]) == [bool(0.4 <= p <= 0.6) for p in expected]
    assert set(frame["call"]) == {"normal", "atypical"}


def test_another_prevalence_moves_p_and_neither_calls_nor_referrals(
    small_bundle: Path, tmp_path: Path, paths: list[Path]
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(small_bundle, folder)
    calibration = folder / "calibration.json"
    values = json.loads(calibration.read_text(encoding="utf-8"))
    calibration.write_text(json.dumps({**values, "prevalence": 0.2}), encoding="utf-8")
    write_sums(folder)
    plain, told = (
        Predictor.load(folder, precision="fp32", threads=1, prevalence=prevalence).predict(
            paths, mpp=0.25
        )
        for prevalence in (None, 0.5)
    )
    odds = plain["p_atypical"] / (1 - plain["p_atypical"]) * 4  # of one to one for one to four
    np.testing.assert_allclose(told["p_atypical"], odds / (1 + odds), atol=1e-6)
    assert list(told["call"]) == list(plain["call"])
    assert list(told["refer"]) == list(plain["refer"])
    assert set(plain["refer"]) == {True, False}


def test_a_prevalence_is_refused_by_a_bundle_that_does_not_know_its_own(
    small_bundle: Path,
) -> None:
    with pytest.raises(AtypiaError, match=r"^prevalence 0\.3: the bundle does not say"):
        Predictor.load(small_bundle, prevalence=0.3)


def test_results_depend_on_neither_batch_nor_threads(
    small_bundle: Path, paths: list[Path], predictor: Predictor
) -> None:
    expected = predictor.predict(paths, mpp=0.25)
    several = Predictor.load(small_bundle, precision="fp32", threads=3)
    for one, batch_size in ((predictor, 1), (predictor, 5), (several, 2), (several, 100)):
        found = one.predict(paths, mpp=0.25, batch_size=batch_size)
        pd.testing.assert_frame_equal(found, expected, rtol=0, atol=1e-5)


def test_a_crop_does_not_depend_on_its_neighbours_resolution(
    make_figure: Callable[..., Figure], predictor: Predictor, paths: list[Path]
) -> None:
    alone = [
        row
        for scored in predictor.stream([make_figure(paths[0], 0.25)])
        for row in scored.frame.p_atypical
    ]
    mixed = [make_figure(paths[0], 0.25), make_figure(paths[1], 0.5)]
    beside = [row for scored in predictor.stream(mixed) for row in scored.frame.p_atypical]
    assert beside[0] == pytest.approx(alone[0], abs=1e-5)


def test_arrays_and_files_are_one_thing(predictor: Predictor, paths: list[Path]) -> None:
    arrays = [np.asarray(Image.open(path)) for path in paths]
    files = predictor.predict(paths, mpp=0.25)
    frame = predictor.predict(arrays, mpp=0.25)
    assert list(frame["figure_id"]) == [str(position) for position in range(len(paths))]
    np.testing.assert_array_equal(frame["p_atypical"], files["p_atypical"])


def test_an_image_whose_name_is_no_utf8_is_a_row_like_others(
    predictor: Predictor, paths: list[Path], tmp_path: Path
) -> None:
    odd = tmp_path / os.fsdecode(b"\xff.png")
    try:
        shutil.copy(paths[0], odd)
    except OSError:
        pytest.skip("this file system has no such names")
    assert predictor.predict([odd])["image"].tolist() == [str(tmp_path / "\\udcff.png")]


def test_one_image_is_one_figure_and_any_row_of_them_will_do(
    predictor: Predictor, paths: list[Path]
) -> None:
    path, image = paths[0], Image.open(paths[0])
    rows = [
        *(path, str(path), image, np.asarray(image)),
        *(
            [path],
            (one for one in [path]),
            pd.Series([str(path)]),
            np.asarray(image)[None],
            [image],
        ),
    ]
    found = [predictor.predict(row, mpp=0.25) for row in rows]
    assert [len(frame) for frame in found] == [1] * len(rows)
    assert len({frame["p_atypical"][0] for frame in found}) == 1
    assert [frame["figure_id"][0] for frame in found[:3]] == [str(path), str(path), "0"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        *((odd, "images: is of type") for odd in (None, 3, b"f.png", {"a": 1})),
        (pd.DataFrame({"image": ["f.png"]}), "images: is of type DataFrame"),
        ([None], "image 0: is of type NoneType"),
        ([np.zeros((40, 40, 3), np.uint8), 7], "image 1: is of type int"),
        (Image.new("CMYK", (40, 40)), "image 0: CMYK"),
        (np.zeros((9, 9, 3), np.uint8), "image 0: is 9 x 9 px"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_what_is_no_image_is_named(predictor: Predictor, images: Any, message: str) -> None:
    with pytest.raises(AtypiaError) as caught:
        predictor.predict(images, mpp=0.25)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_assumed_mpp_is_said_and_is_the_middle_of_the_training(
    predictor: Predictor, paths: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    assumed = predictor.predict(paths[:2])
    assert "0.25 um/px, as the bundle was trained at, is assumed" in caplog.text
    pd.testing.assert_frame_equal(assumed, predictor.predict(paths[:2], mpp=0.25))
    other = predictor.predict(paths[:2], mpp=0.21)
    assert (other["p_atypical"] != assumed["p_atypical"]).all()


@pytest.mark.parametrize("mpp", [0.01, 10.0, -1.0, float("nan")])
def test_an_impossible_mpp_is_refused(predictor: Predictor, paths: list[Path], mpp: float) -> None:
    with pytest.raises(AtypiaError, match=r"expected 0\.05 to 5\.0 um/px"):
        predictor.predict(paths, mpp=mpp)


def test_no_images_give_an_empty_table(predictor: Predictor) -> None:
    frame = predictor.predict([], mpp=0.25)
    assert list(frame.columns) == list(PREDICTION_COLUMNS)
    assert len(frame) == 0


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 40), np.uint8),
        np.zeros((40, 40, 4), np.uint8),
        np.zeros((40, 40, 3), np.float32),
    ],
)
def test_arrays_of_another_kind_are_refused(predictor: Predictor, image: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"image 0: is .*, expected uint8 \(H, W, 3\), RGB"):
        predictor.predict([image], mpp=0.25)


def test_predict_raises_on_a_bad_image_and_stream_goes_on(
    make_figure: Callable[..., Figure], predictor: Predictor, paths: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(paths[0].read_bytes()[:100])
    with pytest.raises(ImageError, match=r"bad\.png: "):
        predictor.predict([paths[0], bad], mpp=0.25)

    def broken() -> np.ndarray:
        raise ImageError(f"{bad}: damaged")

    mixed = [
        make_figure(paths[0]),
        Figure("bad", str(bad), 0.25, "given", broken),
        make_figure(paths[1]),
    ]
    scored = list(predictor.stream(mixed, batch_size=2))
    rows = pd.concat([one.frame for one in scored])
    assert list(rows["figure_id"]) == ["1", "2"]
    assert [failure.message for one in scored for failure in one.failures] == [f"{bad}: damaged"]
    assert sum(one.figures for one in scored) == 3


def test_a_crop_too_small_for_the_bundle_is_named(predictor: Predictor, paths: list[Path]) -> None:
    with pytest.raises(ImageError, match=r"1\.png: is 40 x 40 px, 4\.0 um at 0\.1 um/px"):
        predictor.predict(paths, mpp=0.1)


def test_the_first_member_alone_is_not_the_ensemble_and_has_no_spread(
    small_bundle: Path, predictor: Predictor, paths: list[Path]
) -> None:
    alone = Predictor.load(small_bundle, device="cpu", precision="fp32", members=1)
    frame = alone.predict(paths[:2], mpp=0.25)
    assert frame["spread"].isna().all()
    together = predictor.predict(paths[:2], mpp=0.25)
    assert not np.allclose(frame["p_atypical"], together["p_atypical"])


def test_more_members_than_there_are_is_refused(small_bundle: Path) -> None:
    with pytest.raises(AtypiaError, match="members 3: small holds 1 to 2"):
        Predictor.load(small_bundle, members=3)


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_of_nothing_is_refused(predictor: Predictor, size: int) -> None:
    with pytest.raises(AtypiaError, match="batch_size"):
        predictor.predict([], mpp=0.25, batch_size=size)


def test_options_may_stand_together_or_by_their_names(small_bundle: Path) -> None:
    together = Predictor.load(options=PredictOptions(bundle=small_bundle, members=1, threads=2))
    named = Predictor.load(str(small_bundle), members=1, threads=2)
    loaded = Predictor.load(load_bundle(small_bundle), together.options, threads=3)
    assert together.options == named.options
    assert (loaded.options.members, loaded.options.threads) == (1, 3)
    assert loaded.runtime.members == 1
    text = repr(named)
    assert text.startswith("Predictor(small, 1 member, torch ")
    assert "bf16" in text or "fp32" in text


def test_the_module_computes_the_logits_of_the_members_asked_for(predictor: Predictor) -> None:
    crops = torch.rand(2, 3, 32, 32)
    first = Predictor.load(predictor.bundle, predictor.options, members=1)
    with torch.inference_mode():
        every, alone = predictor.module(crops), first.module(crops)
    assert every.shape == (2, 2)
    assert torch.equal(alone, every[:1])


def test_the_callers_number_of_threads_is_given_back(
    predictor: Predictor, paths: list[Path]
) -> None:
    before = torch.get_num_threads()
    predictor.predict(paths[:2], mpp=0.25)
    assert torch.get_num_threads() == before
