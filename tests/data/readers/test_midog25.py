from __future__ import annotations

from pathlib import Path

import numpy as np
from layout_files import MIDOG25_HEADER, touch_files

from atypia.data.audit import audit
from atypia.data.readers.open_figures import open_figures


def test_midog25_is_read_with_its_misspellings_and_gaps(tmp_path: Path) -> None:
    (tmp_path / "MIDOG25_Atypical_Classification_Train_Set.csv").write_text(
        MIDOG25_HEADER
        + "1.png,001.tiff,5,6,human breast cancer,Hamammatsu XR,UMC Utrecht,human,NMF,AMF,,NMF\n"
        + "2,350.tiff,5,6,human neuroendocrine tumor,Hamamatsu XR,UMC Utrecht,human,AMF,AMF,,NMF\n"
        + "3.png,201.tiff,5,6,,,,,AMF,AMF,NMF,AMF\n"
        + "3.png,201.tiff,7,6,,,,,AMF,AMF,NMF,AMF\n"
    )
    touch_files(tmp_path / "MIDOG25_Binary_Classification_Train_Set", ["1.png", "2.png"])
    table = open_figures(tmp_path)
    frame = table.frame
    assert list(frame["scanner"]) == ["Hamamatsu XR", "Hamamatsu XR", "3D Histech", "3D Histech"]
    assert list(frame["mpp"]) == [0.23, 0.23, 0.25, 0.25]
    assert list(frame["figure_id"]) == ["1.png", "2", "3.png", "3.png#2"]
    assert list(frame["image"])[:3] == [
        f"MIDOG25_Binary_Classification_Train_Set/{n}.png" for n in (1, 2, 3)
    ]
    assert frame.loc[2, "tumour"] == "canine lung cancer" and frame.loc[2, "species"] == "canine"
    np.testing.assert_array_equal(frame["label"], [0, 0, 1, 1])
    np.testing.assert_array_equal(frame.loc[0, ["vote_1", "vote_2"]].astype(float), [0, 1])
    assert np.isnan(frame.loc[0, "vote_3"])
    errors = [one for one in audit(table) if one.level == "error"]
    assert any("against" in one.message and one.figures == ("2",) for one in errors)
    assert any("missing" in one.message and "3.png" in one.figures for one in errors)
