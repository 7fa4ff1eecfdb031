"""The definition: a lead's text with images beside it, and nothing that runs or leads away."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from atypia.errors import AtypiaError
from atypia.study.definition import copy_definition, render_definition


def test_its_images_are_inside_and_its_tags_are_text(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    Image.new("RGB", (32, 32), "purple").save(tmp_path / "examples" / "one two.png")
    text = (
        "# Atypical\n\n![lagging](examples/one%20two.png) **not** <b>bold</b>\n\n"
        "[away](https://example.org) ![again](examples/one%20two.png)\n"
    )
    (tmp_path / "definition.md").write_text(text)
    folder = tmp_path / "study"
    folder.mkdir()
    assert copy_definition(tmp_path / "definition.md", folder) == text
    html = render_definition(text, folder)
    assert html.count('src="data:image/png;base64,') == 2
    assert "<strong>not</strong>" in html
    assert "&lt;b&gt;" in html
    assert "<a " not in html
    assert 'alt="lagging"' in html


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("![x](../secret.png)", "lies outside"),
        ("![x](/etc/passwd)", "lies outside"),
        ("![x](gone.png)", "shows gone.png, which cannot be read"),
        ("![x](text.png)", "not an image"),
        ("x" * 100_001, "is longer than 100,000 letters"),
    ],
)
def test_what_it_cannot_show_is_a_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "definition.md").write_text(text)
    with pytest.raises(AtypiaError, match=problem):
        copy_definition(tmp_path / "definition.md", tmp_path)


def test_images_elsewhere_are_not_loaded(tmp_path: Path) -> None:
    for source in ("https://example.org/x.png", "javascript:alert(1)", "data:image/png;base64,AA"):
        html = render_definition(f"![x]({source})", tmp_path)
        assert "<img" not in html
    with pytest.raises(AtypiaError, match="cannot be read as text"):
        copy_definition(tmp_path / "nowhere.md", tmp_path)
