from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layout_files import AMI_BR_HEADER, AMI_BR_ROWS

from atypia.data.audit import audit
from atypia.data.domains import domain_names
from atypia.data.readers.open_figures import open_figures
from atypia.errors import TableError


def test_votes_phases_domain_and_mpp_of_ami_br_are_read(small_ami_br: Path) -> None:
    frame = open_figures(small_ami_br).frame
    assert list(frame["figure_id"][:2]) == ["MIDOG21_6", "MIDOG21_7"]
    assert list(frame["image"]) == [
        "patches/normal/MIDOG21_6.png",
        "patches/atypical/MIDOG21_7.jpg",
        "patches/normal/MIDOG21_8.jpeg",
        "patches/atypical/TUPAC16_6.png",
        "patches/atypical/TUPAC16_9.png",
        "patches/atypical/TUPAC16_10.png",
    ]
    assert list(frame["mpp"]) == [0.23, 0.23, 0.25, 0.25, 0.25, 0.25]
    assert list(frame["scanner"])[:4] == [
        "Hamamatsu XR",
        "Hamamatsu S360",
        "Aperio CS2",
        "Aperio XT",
    ]
    assert len(set(domain_names(frame))) == 6
    assert list(frame["phase"][:2]) == ["NMF metaphase", ""]
    assert frame.loc[1, "phase_1"] == "AMF other" and frame.loc[1, "phase_2"] == "NMF metaphase"
    np.testing.assert_array_equal(frame[["vote_1", "vote_2", "vote_3"]].iloc[0], [0, 0, 1])


def test_a_contradicting_row_and_a_missing_patch_are_kept_and_reported(small_ami_br: Path) -> None:
    table = open_figures(small_ami_br)
    assert table.frame.loc[2, "label"] == 0
    messages = {one.message: one for one in audit(table)}
    against = next(one for text, one in messages.items() if "against the majority" in text)
    assert against.figures == ("MIDOG21_8",)
    missing = next(one for text, one in messages.items() if "image is missing" in text)
    assert missing.figures == ("TUPAC16_10",)


def test_faults_of_a_layout_name_the_rows_of_its_own_file(tmp_path: Path) -> None:
    rows = AMI_BR_ROWS.replace("True,True,False,False", "True,perhaps,False,False")
    (tmp_path / "AMI-BR.csv").write_text(AMI_BR_HEADER + rows)
    with pytest.raises(TableError, match=r"AMI-BR.csv: vote_2: .*'perhaps' \(row 4\)"):
        open_figures(tmp_path)
    (tmp_path / "AMI-BR.csv").write_text(AMI_BR_HEADER.replace("uid", "id") + AMI_BR_ROWS)
    with pytest.raises(TableError, match="column uid is missing"):
        open_figures(tmp_path)


def test_the_real_figures(ami_br: Path) -> None:
    table = open_figures(ami_br)
    frame = table.frame
    assert (len(frame), frame["slide"].nunique(), frame["label"].sum()) == (2894, 146, 648)
    assert len(set(domain_names(frame))) == 6
    assert all(path.is_file() for path in table.image_paths())
    by_scanner = frame.groupby("scanner")["mpp"].unique()
    assert {scanner: list(mpp) for scanner, mpp in by_scanner.items()} == {
        "Hamamatsu XR": [0.23],
        "Hamamatsu S360": [0.23],
        "Aperio CS2": [0.25],
        "Aperio XT": [0.25],
        "Leica SCN400": [0.25],
    }
