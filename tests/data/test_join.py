"""Several sources in one table: their names never mix, and each one's images are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from atypia.data.audit import audit
from atypia.data.describe import describe
from atypia.data.gather import gather
from atypia.data.join import match_ids, name_sources
from atypia.data.predictions import check_predictions
from atypia.data.readers.open_figures import open_figures
from atypia.data.splits import select_training
from atypia.data.table import FigureTable, read_table, write_table
from atypia.errors import TableError
from atypia.evaluation.judge import judge
from atypia.fingerprint import table_part
from atypia.training.figures import deciding_columns


def _source(folder: Path, rows: str, seed: int) -> Path:
    """A folder with figures.csv and an image 1.png, 2.png, ... of its own for each row."""
    (folder / "crops").mkdir(parents=True)
    (folder / "figures.csv").write_text(rows)
    rng = np.random.default_rng(seed)
    for number in range(1, rows.count("\n")):
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "crops" / f"{number}.png")
    return folder


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    rows = (
        "figure_id,image,slide,scanner,mpp,vote_anna,vote_ben\n"
        "f1,crops/1.png,001,Aperio XT,0.25,yes,yes\nf2,crops/2.png,001,Aperio XT,0.25,no,yes\n"
    )
    return _source(tmp_path / "here" / "lab", rows, 0)


@pytest.fixture
def public(tmp_path: Path) -> Path:
    rows = (
        "figure_id,image,slide,scanner,tumour,mpp,label,vote_anna,grade\n"
        "f1,crops/1.png,001,aperio xt,lung,0.23,1,yes,3\n"
        "g2,crops/2.png,002,aperio xt,lung,0.23,0,,2\n"
    )
    return _source(tmp_path / "there" / "public", rows, 1)


@pytest.fixture
def both(lab: Path, public: Path) -> FigureTable:
    return open_figures([lab, public])


def test_names_of_two_sources_never_mix(both: FigureTable) -> None:
    frame = both.frame
    assert frame["figure_id"].tolist() == ["lab/f1", "lab/f2", "public/f1", "public/g2"]
    assert frame["slide"].tolist() == ["lab/001", "lab/001", "public/001", "public/002"]
    assert frame["case"].tolist() == frame["slide"].tolist()
    assert both.source_names().tolist() == ["lab", "lab", "public", "public"]
    # anna of the one is another expert than anna of the other.
    votes = frame.filter(like="vote_")
    assert list(votes) == ["vote_lab/anna", "vote_lab/ben", "vote_public/anna"]
    assert describe(both).experts == 3
    np.testing.assert_array_equal(votes["vote_lab/anna"], [1, 0, np.nan, np.nan])
    np.testing.assert_array_equal(votes["vote_public/anna"], [np.nan, np.nan, 1, np.nan])


def test_a_column_that_a_source_lacks_is_unknown_for_its_figures(both: FigureTable) -> None:
    frame = both.frame
    assert frame["tumour"].tolist() == ["unknown", "unknown", "lung", "lung"]
    np.testing.assert_array_equal(frame["label"], [np.nan, np.nan, 1, 0])
    assert frame["grade"].tolist() == ["", "", "3", "2"]


def test_domains_are_of_the_world_and_spelt_alike(both: FigureTable) -> None:
    assert frame_values(both, "scanner") == {"Aperio XT"}
    assert any("'aperio xt' (2) as 'Aperio XT'" in note for note in both.notes)


def frame_values(table: FigureTable, column: str) -> set[str]:
    return set(table.frame[column])


def test_images_are_found_below_each_sources_own_folder(
    both: FigureTable, lab: Path, public: Path
) -> None:
    assert both.image_paths() == [
        *(lab / "crops" / name for name in ("1.png", "2.png")),
        *(public / "crops" / name for name in ("1.png", "2.png")),
    ]
    assert not [finding for finding in audit(both) if finding.level == "error"]


def test_one_source_is_what_it_is_without_others(lab: Path) -> None:
    alone, listed = open_figures(lab), open_figures([lab])
    pd.testing.assert_frame_equal(alone.frame, listed.frame)
    assert alone.root == listed.root == lab
    assert alone.sources == {} and alone.name == "lab"
    assert alone.frame["figure_id"].tolist() == ["f1", "f2"]


def test_what_is_found_is_named_by_source(lab: Path, public: Path) -> None:
    (public / "crops" / "2.png").unlink()
    messages = [finding.message for finding in audit(open_figures([lab, public]))]
    assert any("(public/g2)" in message and "missing" in message for message in messages)
    (public / "figures.csv").write_text("figure_id,image,label\na,a.png,perhaps\n")
    with pytest.raises(TableError, match=r"public/figures\.csv: label: .*perhaps"):
        open_figures([lab, public])


def test_the_same_pixels_in_two_sources_are_an_error(lab: Path, public: Path) -> None:
    (public / "crops" / "2.png").write_bytes((lab / "crops" / "1.png").read_bytes())
    (public / "figures.csv").write_text(
        (public / "figures.csv").read_text().replace("0.23,0,,2", "0.23,1,,2")
    )
    errors = [found for found in audit(open_figures([lab, public])) if found.level == "error"]
    assert [set(found.figures) for found in errors if "several sources" in found.message] == [
        {"lab/f1", "public/g2"}
    ]


def test_a_source_is_given_once(lab: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(lab)
    for again in (lab, lab / "figures.csv", str(lab), link):
        with pytest.raises(TableError, match="given twice"):
            open_figures([lab, again])
    table = open_figures(lab)
    with pytest.raises(TableError, match="given twice"):
        open_figures([table, table])
    # The same figures by another table of their folder.
    (lab / "others.csv").write_text((lab / "figures.csv").read_text())
    with pytest.raises(TableError, match=r"1\.png: is in two of the sources, lab and others"):
        open_figures([lab, lab / "others.csv"])
    with pytest.raises(TableError, match="two of the sources"):
        open_figures([table, lab])


def test_a_table_of_several_sources_is_not_one_of_several(both: FigureTable, lab: Path) -> None:
    with pytest.raises(TableError, match="give all sources in one call"):
        open_figures([both, pd.DataFrame({"figure_id": ["a"], "image": ["a.png"]})])


def test_a_source_without_splits_trains_as_it_does_alone(lab: Path, public: Path) -> None:
    text = (public / "figures.csv").read_text().splitlines()
    rows = [text[0] + ",split", text[1] + ",train", text[2] + ",test"]
    (public / "figures.csv").write_text("\n".join(rows) + "\n")
    trained = select_training(open_figures([lab, public]))[0]
    assert trained.frame["figure_id"].tolist() == ["lab/f1", "lab/f2", "public/f1"]
    assert trained.image_paths()[2] == public / "crops" / "1.png"


def test_what_decides_a_training_covers_every_source(lab: Path, public: Path) -> None:
    def part() -> str:
        frame = open_figures([lab, public]).frame
        return table_part(frame, deciding_columns(frame))

    before = part()
    assert part() == before
    for folder, old, new in ((lab, "f2,crops/2.png,001", "f2,crops/2.png,002"),
                             (public, "0.23,0,,2", "0.23,0,yes,2")):  # fmt: skip
        path = folder / "figures.csv"
        text = path.read_text()
        path.write_text(text.replace(old, new))
        assert part() != before
        path.write_text(text)


def test_several_sources_are_gathered_and_written(
    both: FigureTable, lab: Path, tmp_path: Path
) -> None:
    gathered, faults = gather(both, tmp_path / "all")
    assert not faults
    assert read_table(tmp_path / "all" / "figures.csv").image_paths() == [
        tmp_path / "all" / "images" / name / "crops" / image
        for name in ("lab", "public")
        for image in ("1.png", "2.png")
    ]
    assert gathered.frame["figure_id"].tolist() == both.frame["figure_id"].tolist()
    write_table(both, tmp_path / "joined.csv")
    assert read_table(tmp_path / "joined.csv").image_paths() == both.image_paths()
    with pytest.raises(TableError, match="not below it"):
        write_table(both, lab / "joined.csv")


def test_names_take_as_many_folders_as_tell_sources_apart(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("a/x/figures", "b/x/figures", "b/y", "c/set")]
    assert name_sources(places) == ["a-x-figures", "b-x-figures", "y", "set"]
    twice = name_sources([tmp_path, tmp_path])
    assert len(set(twice)) == 2 and not any("/" in name for name in twice)


def test_tables_beside_each_other_are_named_by_their_files(lab: Path) -> None:
    rows = (lab / "figures.csv").read_text().splitlines()
    (lab / "first.csv").write_text("\n".join(rows[:2]) + "\n")
    (lab / "second.csv").write_text("\n".join([rows[0], rows[2]]) + "\n")
    table = open_figures([lab / "first.csv", lab / "second.csv"])
    assert table.frame["figure_id"].tolist() == ["first/f1", "second/f2"]


def test_a_mapping_is_for_the_tables_among_the_sources(lab: Path, tmp_path: Path) -> None:
    classes = tmp_path / "classes"
    for name in ("atypical", "normal"):
        (classes / name).mkdir(parents=True)
        Image.new("RGB", (40, 40), "white").save(classes / name / "a.png")
    table = open_figures([lab, classes], mapping={"label": "vote_ben"})
    np.testing.assert_array_equal(table.frame["label"], [1, 1, 0, 1])
    with pytest.raises(TableError, match="each of the sources is in a layout"):
        open_figures([classes, _copy(classes, tmp_path / "more")], mapping={"label": "x"})


def _copy(folder: Path, to: Path) -> Path:
    for name in ("atypical", "normal"):
        (to / name).mkdir(parents=True)
        Image.new("RGB", (40, 40), "black").save(to / name / "b.png")
    return to


def test_predictions_name_figures_with_or_without_their_source(both: FigureTable) -> None:
    def predictions(ids: list[str]) -> pd.DataFrame:
        p = [0.9, 0.2][: len(ids)]
        call = ["atypical", "normal"][: len(ids)]
        return check_predictions(pd.DataFrame({"figure_id": ids, "p_atypical": p, "call": call}))

    judged = judge(predictions(["lab/f1", "g2"]), both)
    assert judged.figures["figure_id"].tolist() == ["lab/f1", "public/g2"]
    assert judged.overall.balanced_accuracy == 1.0
    with pytest.raises(TableError, match=r"figure_id f1: may be lab/f1 or public/f1"):
        judge(predictions(["f1", "g2"]), both)
    alone = pd.Series(["x", "y"])
    assert match_ids(alone, FigureTable(both.frame, both.root)) is alone


def test_a_table_says_what_it_is(both: FigureTable, lab: Path) -> None:
    assert repr(open_figures(lab)) == "FigureTable of lab: 2 figures, 1 slide, 1 case"
    assert repr(both) == "FigureTable of lab and public: 4 figures, 3 slides, 3 cases"
    assert "<table" in both._repr_html_() and "lab/f1" in both._repr_html_()
