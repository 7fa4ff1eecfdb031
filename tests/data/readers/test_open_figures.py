from __future__ import annotations

from pathlib import Path

import pytest
from layout_files import touch_files

from atypia.data.readers.open_figures import open_figures
from atypia.data.readers.registry import LAYOUTS
from atypia.errors import TableError


def test_the_table_of_a_layout_opens_its_folder(small_ami_br: Path) -> None:
    assert len(open_figures(small_ami_br / "AMI-BR.csv", mpp=0.3)) == 6


def test_a_folder_with_a_figure_table_is_that_table(tmp_path: Path) -> None:
    touch_files(tmp_path, ["normal/1.png"])
    (tmp_path / "figures.csv").write_text("name,image\na,normal/1.png\n")
    assert list(open_figures(tmp_path, mapping={"figure_id": "name"}).frame["figure_id"]) == ["a"]


def test_a_layout_can_be_named_and_a_wrong_name_gets_the_nearest(small_ami_br: Path) -> None:
    assert len(open_figures(small_ami_br, layout="ami-br")) == 6
    with pytest.raises(TableError, match="did you mean ami-br"):
        open_figures(small_ami_br, layout="amibr")
    with pytest.raises(TableError, match="mapping"):
        open_figures(small_ami_br, mapping={"label": "x"})


def test_what_is_not_a_source_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such file or folder"):
        open_figures(tmp_path / "none")
    with pytest.raises(TableError) as caught:
        open_figures(tmp_path)
    assert all(key in str(caught.value) for key in LAYOUTS)


def test_every_layout_refuses_an_empty_folder(tmp_path: Path) -> None:
    for key in LAYOUTS:
        with pytest.raises(TableError, match=str(tmp_path)):
            open_figures(tmp_path, layout=key)
