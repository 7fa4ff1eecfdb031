from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from atypia.data.audit import Finding, audit
from atypia.data.readers.open_figures import open_figures
from atypia.data.table import FigureTable, figures_from_frame


def _picture(path: Path, seed: int, side: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def _table(folder: Path, count: int = 6, **columns: list[object]) -> FigureTable:
    """A table in order (six figures, three slides, both classes), but for `columns`."""
    for number in range(count):
        _picture(folder / f"{number}.png", number)
    frame = pd.DataFrame(
        {
            "figure_id": [f"f{i}" for i in range(count)],
            "image": [f"{i}.png" for i in range(count)],
            "slide": [f"s{i // 2}" for i in range(count)],
            "mpp": 0.25,
            "label": [i % 2 for i in range(count)],
        }
    )
    return figures_from_frame(frame.assign(**columns), folder)


def _one(findings: list[Finding], told: str) -> Finding:
    found = [finding for finding in findings if told in finding.message]
    assert len(found) == 1, findings
    assert "\n" not in found[0].message
    return found[0]


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    findings = audit(
        _table(tmp_path), on_progress=lambda task, done, of, _: calls.append((task, done, of))
    )
    assert findings == []
    assert calls[-1] == ("images", 6, 6)


def test_missing_and_unreadable_images_are_named_and_the_rest_is_judged(tmp_path: Path) -> None:
    table = _table(tmp_path)
    (tmp_path / "0.png").unlink()
    (tmp_path / "1.png").unlink()
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:200])
    (tmp_path / "3.png").write_bytes(b"")
    (tmp_path / "5.png").write_bytes((tmp_path / "4.png").read_bytes())
    findings = audit(table)
    missing = _one(findings, "image is missing")
    assert missing.level == "error" and missing.figures == ("f0", "f1")
    for name, figure in (("2.png", "f2"), ("3.png", "f3")):
        assert _one(findings, name).figures == (figure,)
    assert _one(findings, "two labels").figures == ("f4", "f5")


def test_a_link_is_followed_and_a_dead_one_is_an_error(tmp_path: Path) -> None:
    table = _table(tmp_path / "data")
    _picture(tmp_path / "other.png", 9)
    (tmp_path / "data" / "0.png").unlink()
    (tmp_path / "data" / "0.png").symlink_to(tmp_path / "other.png")
    assert not [one for one in audit(table) if one.level == "error"]
    (tmp_path / "other.png").unlink()
    assert _one(audit(table), "missing").figures == ("f0",)


def test_odd_sizes_are_told_against_the_majority(tmp_path: Path) -> None:
    table = _table(tmp_path)
    _picture(tmp_path / "3.png", 3, side=40)
    finding = _one(audit(table), "40 x 40 px, where 5 are 32 x 32")
    assert finding.level == "warning" and finding.figures == ("f3",)


def test_equal_pixels_are_found_across_formats(tmp_path: Path) -> None:
    table = _table(tmp_path, image=["0.png", "1.png", "2.png", "3.png", "4.bmp", "5.png"])
    Image.open(tmp_path / "0.png").save(tmp_path / "4.bmp")  # f0 and f4: both normal, two slides
    Image.open(tmp_path / "1.png").save(tmp_path / "2.png")  # f1 atypical, f2 normal
    findings = audit(table)
    assert _one(findings, "two labels").level == "error"
    slides = [one for one in findings if "several slides" in one.message]
    assert {one.figures for one in slides} == {("f0", "f4"), ("f1", "f2")}
    assert all(one.level == "warning" for one in slides)


def test_equal_pixels_within_a_slide_are_a_warning(tmp_path: Path) -> None:
    table = _table(tmp_path, label=[0, 0, 1, 1, 0, 1])
    Image.open(tmp_path / "0.png").save(tmp_path / "1.png")
    assert _one(audit(table), "the same pixels twice: f0, f1").level == "warning"


def test_equal_pixels_on_both_sides_of_a_split_are_an_error(tmp_path: Path) -> None:
    table = _table(tmp_path, split=["a", "a", "a", "a", "b", "b"])
    Image.open(tmp_path / "0.png").save(tmp_path / "4.png")
    finding = _one(audit(table), "both sides of the column split")
    assert finding.level == "error" and finding.figures == ("f0", "f4")


@pytest.mark.parametrize("column", ["split", "fold"])
def test_a_slide_divided_over_splits_is_an_error(tmp_path: Path, column: str) -> None:
    table = _table(tmp_path, **{column: ["a", "b", "a", "a", "b", ""]})
    finding = _one(audit(table, images=False), f"divided over the column {column}")
    assert finding.level == "error" and finding.figures == ("f0", "f1")


def test_splits_are_compared_in_one_spelling_and_unknown_ones_are_warned_of(
    tmp_path: Path,
) -> None:
    table = _table(tmp_path, split=["Train", "train", "test", "Test", "held out", "held-out"])
    assert audit(table, images=False) == []
    odd = audit(_table(tmp_path, split=["1", "1", "2", "2", "train", ""]), images=False)
    assert _one(odd, "the column split contains 1, 2").level == "warning"


def test_a_case_keeps_figures_without_a_slide_together(tmp_path: Path) -> None:
    table = _table(tmp_path, slide=[None] * 6, case=["a", "a", "b", "b", "c", "c"])
    assert audit(table, images=False) == []


def test_many_figures_of_one_fault_share_a_line(tmp_path: Path) -> None:
    count = 40
    table = _table(tmp_path, count)
    for number in range(10):  # no image
        (tmp_path / f"{number}.png").write_bytes(b"")
    for number in range(10, 20):  # another size each
        _picture(tmp_path / f"{number}.png", number, side=33 + number)
    for number in range(20, 40, 2):  # pairs of one slide and two labels
        Image.open(tmp_path / f"{number}.png").save(tmp_path / f"{number + 1}.png")
    findings = audit(table)
    assert len(findings) == 3
    unreadable = _one(findings, "10 figures have an image that cannot be used (f0, f1, f2 and 7")
    assert "0.png" in unreadable.message and unreadable.figures == tuple(f"f{n}" for n in range(10))
    assert _one(findings, "of 10 other sizes, 43 x 43 to 52 x 52 px").level == "warning"
    twins = _one(findings, "10 times the same pixels with two labels: f20 = f21, f22 = f23")
    assert twins.level == "error" and len(twins.figures) == 20


def test_one_class_or_one_slide_only_is_an_error(tmp_path: Path) -> None:
    one_class = audit(_table(tmp_path, label=[1] * 6), images=False)
    assert _one(one_class, "all labelled figures are atypical").level == "error"
    one_slide = audit(_table(tmp_path, slide=["s"] * 6), images=False)
    assert _one(one_slide, "of one slide (s)").level == "error"
    one_case = audit(_table(tmp_path, case=["c"] * 6), images=False)
    assert _one(one_case, "of one case (c)").level == "error"


def test_a_label_against_its_votes_is_an_error_and_kept(tmp_path: Path) -> None:
    table = _table(tmp_path, vote_1=[1, 1, 0, 1, 0, 1], vote_2=[1, 1, None, 1, 0, 0])
    finding = _one(audit(table, images=False), "contradicts the majority")
    assert finding.level == "error" and finding.figures == ("f0",)
    assert len(table) == 6


def test_figures_without_class_slide_or_mpp_are_warned_of(tmp_path: Path) -> None:
    table = _table(
        tmp_path,
        label=[0, 1, 0, 1, None, None],
        slide=["a", "a", "b", "b", None, "c"],
        mpp=[0.25, 0.25, 0.25, 0.25, 0.25, None],
        vote_1=[None, None, None, None, None, True],
        vote_2=[None, None, None, None, None, False],
    )
    findings = audit(table, images=False)
    assert _one(findings, "without a label").figures == ("f4", "f5")
    assert _one(findings, "tie of votes").figures == ("f5",)
    assert _one(findings, "slide of its own").figures == ("f4",)
    assert _one(findings, "without mpp").figures == ("f5",)
    assert all(finding.level == "warning" for finding in findings)


def test_figures_at_one_place_and_cases_in_two_domains(tmp_path: Path) -> None:
    table = _table(
        tmp_path, x=[1, 1, 1, 5, 6, 7], y=[2] * 6, scanner=["A", "A", "A", "B", "B", "B"]
    )
    findings = audit(table, images=False)
    assert _one(findings, "same place").figures == ("f0", "f1")
    assert _one(findings, "several domains").figures == ("f2", "f3")


def test_a_misspelt_column_is_pointed_out(tmp_path: Path) -> None:
    finding = _one(audit(_table(tmp_path, Tumor=["x"] * 6), images=False), "'Tumor' is not used")
    assert "tumour=Tumor" in finding.message


def test_errors_come_first(tmp_path: Path) -> None:
    table = _table(tmp_path, mpp=[None] * 6, label=[1] * 6)
    assert [finding.level for finding in audit(table, images=False)] == ["error", "warning"]


def test_the_real_figures_are_in_order(ami_br: Path) -> None:
    assert audit(open_figures(ami_br)) == []
