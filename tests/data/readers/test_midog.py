from __future__ import annotations

from pathlib import Path

import pytest
from layout_files import AMI_BR_HEADER, AMI_BR_ROWS, MIDOG25_HEADER, touch_files

from atypia.data.domains import domain_names
from atypia.data.readers.midog import SLIDE_RANGES, midog_origin, scanner_mpp
from atypia.data.readers.open_figures import open_figures


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
    touch_files(benchmark, ["AMi-Br/Normal/MIDOG21_6.png"])
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
