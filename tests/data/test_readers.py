"""Layouts: each test lays out a small folder as the public one is, quirks included."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from atypia.data.audit import audit
from atypia.data.describe import describe
from atypia.data.domains import domain_names
from atypia.data.readers.layout import list_image_names
from atypia.data.readers.midog import SLIDE_RANGES, midog_origin, scanner_mpp
from atypia.data.readers.open_figures import open_figures
from atypia.data.readers.registry import LAYOUTS
from atypia.data.splits import select_training
from atypia.errors import TableError


def _touch(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


AMI_BR_HEADER = (
    ",slide,dataset,uid,x,y,expert1_label,expert2_label,"
    "expert1_atypical,expert2_atypical,expert3_atypical,majority_atypical\n"
)
AMI_BR_ROWS = (
    "0,002.tiff,MIDOG21,6,10,20,NMF metaphase,NMF metaphase,False,False,True,False\n"
    "1,060.tiff,MIDOG21,7,1,2,AMF other,NMF metaphase,True,True,True,True\n"
    "2,101.tiff,MIDOG21,8,1,2,AMF other,AMF other,True,True,False,False\n"
    "3,01_stitched1.tif,TUPAC16,6,1,2,AMF other,AMF other,True,True,False,True\n"
    "4,24.tif,TUPAC16,9,1,2,AMF other,AMF other,True,True,False,True\n"
    "5,73.tif,TUPAC16,10,1,2,AMF other,AMF other,True,True,False,True\n"
)


@pytest.fixture
def small_ami_br(tmp_path: Path) -> Path:
    (tmp_path / "AMI-BR.csv").write_text(AMI_BR_HEADER + AMI_BR_ROWS)
    _touch(
        tmp_path / "patches",
        [
            "normal/MIDOG21_6.png",
            "atypical/MIDOG21_7.jpg",
            "normal/MIDOG21_8.jpeg",
            "atypical/TUPAC16_6.png",
            "atypical/TUPAC16_9.png",
        ],
    )
    return tmp_path


def test_ami_br_small(small_ami_br: Path) -> None:
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


def test_a_contradicting_row_and_a_missing_patch_are_kept_and_told(small_ami_br: Path) -> None:
    table = open_figures(small_ami_br)
    assert table.frame.loc[2, "label"] == 0
    messages = {one.message: one for one in audit(table)}
    against = next(one for text, one in messages.items() if "against the majority" in text)
    assert against.figures == ("MIDOG21_8",)
    missing = next(one for text, one in messages.items() if "image is missing" in text)
    assert missing.figures == ("TUPAC16_10",)


def test_the_table_of_a_layout_opens_its_folder(small_ami_br: Path) -> None:
    assert len(open_figures(small_ami_br / "AMI-BR.csv", mpp=0.3)) == 6


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


MIDOG25_HEADER = (
    "image_id,filename,coordinateX,coordinateY,Tumor,Scanner,Origin,Species,"
    "expert1,expert2,expert3,majority\n"
)


def test_midog25(tmp_path: Path) -> None:
    (tmp_path / "MIDOG25_Atypical_Classification_Train_Set.csv").write_text(
        MIDOG25_HEADER
        + "1.png,001.tiff,5,6,human breast cancer,Hamammatsu XR,UMC Utrecht,human,NMF,AMF,,NMF\n"
        + "2,350.tiff,5,6,human neuroendocrine tumor,Hamamatsu XR,UMC Utrecht,human,AMF,AMF,,NMF\n"
        + "3.png,201.tiff,5,6,,,,,AMF,AMF,NMF,AMF\n"
        + "3.png,201.tiff,7,6,,,,,AMF,AMF,NMF,AMF\n"
    )
    _touch(tmp_path / "MIDOG25_Binary_Classification_Train_Set", ["1.png", "2.png"])
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


@pytest.mark.parametrize(
    "origin",
    [
        "human breast cancer,Hamamatsu XR,UMC Utrecht,Human",
        "Human Breast Cancer,Hamammatsu XR,umc utrecht,HUMAN",
        '"breast cancer, human",Hamamatsu-XR,UMC  Utrecht,human ',
        ",,,",
    ],
)
def test_one_slide_has_one_domain_in_every_layout_that_holds_it(
    small_ami_br: Path, tmp_path: Path, origin: str
) -> None:
    folder = tmp_path / "midog25"
    folder.mkdir()
    (folder / "MIDOG25_Atypical_Classification_Train_Set.csv").write_text(
        MIDOG25_HEADER + f"1.png,002.tiff,10,20,{origin},NMF,NMF,,NMF\n"
    )
    benchmark = tmp_path / "benchmark"
    benchmark.mkdir()
    rows = AMI_BR_ROWS.splitlines(keepends=True)[0]
    (benchmark / "amibr_train_split.csv").write_text(AMI_BR_HEADER + rows)
    _touch(benchmark, ["AMi-Br/Normal/MIDOG21_6.png"])
    names = [domain_names(open_figures(one).frame)[0] for one in (small_ami_br, folder, benchmark)]
    assert set(names) == {"human breast cancer, Hamamatsu XR, UMC Utrecht, human"}


def test_slide_ranges_make_ten_domains_without_overlap() -> None:
    assert len({origin for _, _, origin in SLIDE_RANGES}) == 10
    ends = [number for first, last, _ in SLIDE_RANGES for number in (first, last)]
    assert ends == sorted(ends)
    first, last = midog_origin(405), midog_origin(490)
    assert first and last and first.laboratory == "AMC New York" and last.laboratory == "VMU Vienna"
    assert midog_origin(175) is None and scanner_mpp("Somebody's") is None
    assert all(scanner_mpp(origin.scanner) in (0.23, 0.25) for _, _, origin in SLIDE_RANGES)


def test_omg_octo(tmp_path: Path) -> None:
    (tmp_path / "OMG-Octo.csv").write_text(
        "image_id,filename,majority\na.png,s1.svs,AMF\nb.png,s1.svs,NMF\n"
    )
    (tmp_path / "notes.csv").write_text("x,y\n1,2\n")
    _touch(tmp_path / "crops", ["a.png", "b.png"])
    frame = open_figures(tmp_path, mpp=0.25).frame
    assert list(frame["image"]) == ["crops/a.png", "crops/b.png"]
    assert list(frame["slide"]) == ["s1.svs", "s1.svs"] and list(frame["label"]) == [1, 0]
    text = ",image_id;filename;majority;;\r\n0;a.png;s1.svs;AMF;;\r\n".replace(",", ";")
    (tmp_path / "OMG-Octo.csv").write_text(text, encoding="utf-16")
    assert list(open_figures(tmp_path).frame["image"]) == ["crops/a.png"]
    (tmp_path / "second.csv").write_text("image_id,filename,majority\na.png,s1.svs,AMF\n")
    with pytest.raises(TableError, match=r"OMG-Octo.csv, second.csv"):
        open_figures(tmp_path)


def test_class_folders_count_every_image_as_a_slide_and_say_so(tmp_path: Path) -> None:
    _touch(tmp_path, ["Atypical/1.png", "NORMAL/1.png", "NORMAL/more/2.TIF", "NORMAL/.x.png"])
    _touch(tmp_path, ["NORMAL/notes.txt"])
    table = open_figures(tmp_path)
    assert list(table.frame["image"]) == ["NORMAL/1.png", "NORMAL/more/2.TIF", "Atypical/1.png"]
    assert list(table.frame["label"]) == [0, 0, 1]
    assert table.frame["slide"].nunique() == 3 and table.frame["mpp"].isna().all()
    assert any("slide of its own" in one.message for one in audit(table, images=False))
    assert any("name no slide" in remark for remark in describe(table).remarks)
    assert set(open_figures(tmp_path, mpp=0.25).frame["mpp"]) == {0.25}


def test_class_folders_may_have_the_names_that_tables_use(tmp_path: Path) -> None:
    _touch(tmp_path, ["AMF/1.png", "nmf/2.png", "Normal/3.png", "normal/4.png"])
    frame = open_figures(tmp_path).frame
    labels = dict(zip(frame["image"], frame["label"], strict=True))
    assert labels == {"AMF/1.png": 1, "nmf/2.png": 0, "Normal/3.png": 0, "normal/4.png": 0}


def test_images_beside_the_class_folders_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _touch(tmp_path, ["normal/1.png", "atypical/2.png", "atypical/2.gif"])
    _touch(tmp_path, ["unsure/3.png", "unsure/more/4.png", "loose.png", "report.html"])
    (tmp_path / "atypical" / "far").symlink_to(tmp_path / "unsure")
    assert len(open_figures(tmp_path)) == 4
    left_out = f"{tmp_path}: 3 images left out, 1 beside the folders, 2 in unsure/; only normal/"
    assert left_out in caplog.text
    assert f"{tmp_path / 'atypical'}: 1 file left out, 1 .gif" in caplog.text


def test_empty_class_folders_are_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "normal").mkdir()
    with pytest.raises(TableError, match="no image"):
        open_figures(tmp_path)


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    header = AMI_BR_HEADER.strip() + ",final_label,dataset_uid\n"
    rows = "".join(line + ",AMF,x\n" for line in AMI_BR_ROWS.splitlines()[:2])
    (tmp_path / "amibr_train_split.csv").write_text(header + rows)
    (tmp_path / "AtNorM-MD_expert_votes.csv").write_text(
        "Filename,Expert_1,Expert_2,Expert_3,Expert_4,Expert_5,Majority\n"
        "1.png,Normal,Normal,Normal,Atypical,Atypical,Normal\n"
        "2.png,Atypical,Normal,Atypical,Atypical,Atypical,Atypical\n"
        "9.png,Normal,Normal,Normal,Normal,Normal,Normal\n"
    )
    _touch(
        tmp_path,
        [
            "AMi-Br/Normal/MIDOG21_6.png",
            "AMi-Br/Atypical/MIDOG21_7.png",
            "AMi-Br/Atypical/MIDOG21_99.png",
            "AtNorM-Br/Normal/1.png",
            "AtNorM-Br/Atypical/1.png",
            "AtNorM-MD/Normal/1.png",
            "AtNorM-MD/Atypical/2.png",
            "AtNorM-MD/Atypical/3.png",
        ],
    )
    return tmp_path


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
    assert frame.loc["AtNorM-MD/Atypical/3", "label"] == 1  # no votes: the folder says it
    assert frame.loc["AtNorM-MD/Normal/9", "image"] == "AtNorM-MD/Normal/9.png"  # missing, kept


def test_nothing_is_trained_on_what_the_benchmark_holds_out(benchmark: Path) -> None:
    table, (note,) = select_training(open_figures(benchmark))
    assert list(table.frame["figure_id"]) == ["MIDOG21_6", "MIDOG21_7"]
    assert "7 figures" in note and "held-out" in note


def test_one_set_of_the_benchmark_opens_with_its_votes(benchmark: Path) -> None:
    table = open_figures(benchmark / "AtNorM-MD", mpp=0.25)
    assert set(table.frame["set"]) == {"AtNorM-MD"} and set(table.frame["mpp"]) == {0.25}
    assert table.frame["vote_5"].notna().sum() == 3
    assert table.image_paths()[0].is_file()


def test_a_folder_with_a_figure_table_is_that_table(tmp_path: Path) -> None:
    _touch(tmp_path, ["normal/1.png"])
    (tmp_path / "figures.csv").write_text("name,image\na,normal/1.png\n")
    assert list(open_figures(tmp_path, mapping={"figure_id": "name"}).frame["figure_id"]) == ["a"]


def test_a_layout_can_be_named_and_a_wrong_name_gets_the_nearest(small_ami_br: Path) -> None:
    assert len(open_figures(small_ami_br, layout="ami-br")) == 6
    with pytest.raises(TableError, match="did you mean ami-br"):
        open_figures(small_ami_br, layout="amibr")
    with pytest.raises(TableError, match="mapping"):
        open_figures(small_ami_br, mapping={"label": "x"})


def test_what_is_no_source_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such file or folder"):
        open_figures(tmp_path / "none")
    with pytest.raises(TableError) as caught:
        open_figures(tmp_path)
    assert all(key in str(caught.value) for key in LAYOUTS)


def test_every_layout_refuses_an_empty_folder_in_words(tmp_path: Path) -> None:
    for key in LAYOUTS:
        with pytest.raises(TableError, match=str(tmp_path)):
            open_figures(tmp_path, layout=key)


def test_images_of_a_public_layout_that_cannot_be_read_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "b.gif", "c.gif", "list.csv"):
        (tmp_path / name).write_bytes(b"\0")
    assert list_image_names(tmp_path) == ["a.png"]
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        f"{tmp_path}: 2 files left out, 2 .gif"
    ]
