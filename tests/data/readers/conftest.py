"""Folders of public layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from layout_files import AMI_BR_HEADER, AMI_BR_ROWS, touch_files


@pytest.fixture
def small_ami_br(tmp_path: Path) -> Path:
    (tmp_path / "AMI-BR.csv").write_text(AMI_BR_HEADER + AMI_BR_ROWS)
    touch_files(
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


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    header = AMI_BR_HEADER.strip() + ",final_label,dataset_uid\n"
    rows = "".join(line + ",AMF,x\n" for line in AMI_BR_ROWS.splitlines()[:2])
    (tmp_path / "amibr_train_split.csv").write_text(header + rows)
    (tmp_path / "AtNorM-MD_expert_votes.csv").write_text(
        "Filename,Expert_1,Expert_2,Expert_3,Expert_4,Expert_5,Majority\n"
        "1.png,Normal,Normal,Normal,Atypical,Atypical,Normal\n"
        "3.png,Atypical,Normal,Atypical,Atypical,Atypical,Atypical\n"
        "9.png,Normal,Normal,Normal,Normal,Normal,Normal\n"
    )
    touch_files(
        tmp_path,
        [
            "AMi-Br/Normal/MIDOG21_6.png",
            "AMi-Br/Atypical/MIDOG21_7.png",
            "AMi-Br/Atypical/MIDOG21_99.png",
            "AtNorM-Br/Normal/1.png",
            "AtNorM-Br/Atypical/1.png",
            "AtNorM-MD/Normal/1.png",
            "AtNorM-MD/Atypical/3.png",
            "AtNorM-MD/Atypical/14.png",
        ],
    )
    return tmp_path
