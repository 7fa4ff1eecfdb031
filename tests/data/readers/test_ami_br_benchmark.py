from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atypia.data.readers.open_figures import open_figures
from atypia.data.splits import select_training
from atypia.errors import TableError


def test_the_benchmark_holds_three_sets_apart(benchmark: Path) -> None:
    frame = open_figures(benchmark).frame.set_index("figure_id")
    assert frame["set"].value_counts().to_dict() == {"AtNorM-MD": 4, "AMi-Br": 3, "AtNorM-Br": 2}
    assert list(frame.index[frame["split"] == "train"]) == ["MIDOG21_6", "MIDOG21_7"]
    assert frame.loc["MIDOG21_6", "mpp"] == 0.23 and frame.loc["MIDOG21_6", "slide"] == "002.tiff"
    assert frame.loc["MIDOG21_99", "label"] == 1 and np.isnan(frame.loc["MIDOG21_99", "mpp"])
    assert frame.loc["AtNorM-Br/Normal/1", "label"] == 0
    assert frame.loc["AtNorM-Br/Atypical/1", "label"] == 1
    voted = frame.loc["AtNorM-MD/Normal/1", [f"vote_{n}" for n in range(1, 6)]].astype(float)
    np.testing.assert_array_equal(voted, [0, 0, 0, 1, 1])
    assert frame.loc["AtNorM-MD/Atypical/14", "label"] == 1  # no votes: the folder says it
    assert frame.loc["AtNorM-MD/Normal/9", "image"] == "AtNorM-MD/Normal/9.png"  # missing, kept


def test_nothing_is_trained_on_what_the_benchmark_holds_out(benchmark: Path) -> None:
    table, (note,) = select_training(open_figures(benchmark))
    assert list(table.frame["figure_id"]) == ["MIDOG21_6", "MIDOG21_7"]
    assert "7 figures" in note and "held-out" in note


def test_one_set_of_the_benchmark_opens_with_its_votes(benchmark: Path) -> None:
    table = open_figures(benchmark / "AtNorM-MD")
    assert set(table.frame["set"]) == {"AtNorM-MD"} and set(table.frame["mpp"]) == {0.25}
    assert table.frame["vote_5"].notna().sum() == 3
    assert table.image_paths()[0].is_file()


def test_figures_of_atnorm_md_have_the_slides_that_the_set_does_not_name(benchmark: Path) -> None:
    frame = open_figures(benchmark).frame.set_index("figure_id")
    voted, unvoted = frame.loc["AtNorM-MD/Atypical/3"], frame.loc["AtNorM-MD/Atypical/14"]
    assert voted["slide"] == unvoted["slide"] == voted["case"] == "210.tiff"
    assert (voted["x"], voted["y"], voted["mpp"]) == (2514, 699, 0.25)
    assert (voted["tumour"], voted["scanner"]) == ("canine lung cancer", "3D Histech")
    assert (unvoted["laboratory"], unvoted["mpp_source"]) == ("VMU Vienna", "layout")


def test_a_set_named_by_its_own_folder_can_be_trained_on(benchmark: Path) -> None:
    table, notes = select_training(open_figures(benchmark / "AtNorM-MD"))
    assert len(table) == 4 and not notes
    both, _ = select_training(open_figures([benchmark / "AMi-Br", benchmark / "AtNorM-MD"]))
    assert both.frame["set"].value_counts().to_dict() == {"AtNorM-MD": 4, "AMi-Br": 2}


def test_faults_of_the_votes_name_their_rows(benchmark: Path) -> None:
    votes = benchmark / "AtNorM-MD_expert_votes.csv"
    votes.write_text(votes.read_text().replace("9.png,Normal", "9.png,perhaps"))
    with pytest.raises(TableError, match=r"votes.csv: vote_1: .*'perhaps' \(row 4\)"):
        open_figures(benchmark)
