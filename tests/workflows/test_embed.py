"""Embeddings are those that the bundle's own head classifies by."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from atypia.data.readers.open_figures import open_figures
from atypia.errors import ImageError
from atypia.inference.predictor import Predictor
from atypia.workflows.embed import embed


@pytest.fixture(scope="module")
def predictor(small_bundle: Path) -> Predictor:
    return Predictor.load(
        small_bundle, runtime="torch", device="cpu", precision="fp32", members=1, batch_size=5
    )


def test_the_head_gives_of_them_what_predict_gives(predictor: Predictor, crop_folder: Path) -> None:
    steps: list[tuple[int, int]] = []
    embeddings = embed(
        crop_folder,
        predictor,
        mpp=0.25,
        on_progress=lambda _, done, of, __: steps.append((done, of)),
    )
    assert steps == [(5, 12), (10, 12), (12, 12)]
    assert embeddings.index.tolist() == [f"{number}.png" for number in range(1, 13)]
    assert set(embeddings.dtypes) == {np.dtype("float32")}
    head = predictor.module.members[0].head
    logits = embeddings.to_numpy() @ head.weight.detach().numpy()[0] + head.bias.item()
    paths = [crop_folder / name for name in embeddings.index]
    p = predictor.predict(paths, mpp=0.25)["p_atypical"]
    scale = predictor.calibration
    np.testing.assert_allclose(logits / scale.temperature + scale.bias, logit(p), atol=1e-3)


def test_what_cannot_be_read_is_left_out_and_named(
    predictor: Predictor, crop_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("1.png", "2.png"):
        shutil.copy(crop_folder / name, tmp_path)
    (tmp_path / "2.png").write_bytes(b"")
    frame = pd.DataFrame({"figure_id": ["a", "b"], "image": ["1.png", "2.png"], "mpp": 0.25})
    frame.to_csv(tmp_path / "figures.csv", index=False)
    table = open_figures(tmp_path / "figures.csv")
    assert embed(table, predictor).index.tolist() == ["a"]
    assert "2.png: the file is empty" in caplog.text
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(ImageError, match="none of the figures can be read"):
        embed(table, predictor)
