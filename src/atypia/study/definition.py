"""The study's definition of atypical: the lead's text in Markdown, with images beside it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from atypia.data.images import decode_image
from atypia.data.pictures import encode_png
from atypia.errors import AtypiaError
from atypia.evaluation.html import data_uri
from atypia.files import join_inside

IMAGES = "definition"
_MOST_BYTES = 100_000


def copy_definition(path: Path, folder: Path) -> str:
    """Copy the images of a definition into a study; return its text.

    Args:
        path: Markdown; its images lie beside it or in folders below, and lose all metadata.
        folder: of the study.

    Raises:
        AtypiaError: the text or an image cannot be read, or an image lies elsewhere.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise AtypiaError(f"{path}: cannot be read as text; give a file in UTF-8") from fault
    if len(text) > _MOST_BYTES:
        raise AtypiaError(f"{path}: is longer than {_MOST_BYTES:,} letters; shorten it")
    for number, token in enumerate(_images(_parse(text))):
        source = unquote(str(token.attrs["src"]))
        image = join_inside(path.parent, source)
        try:
            data = image.read_bytes()
        except OSError as fault:
            raise AtypiaError(
                f"{path}: shows {source}, which cannot be read; put it beside the text"
            ) from fault
        target = folder / IMAGES / f"{number}.png"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(encode_png(decode_image(data, str(image))))
    return text


def render_definition(text: str, folder: Path) -> str:
    """Return a definition as HTML, its images inside; tags in the text are shown as text.

    Args:
        text: Markdown.
        folder: of the study, with the images that `copy_definition` made.
    """
    tokens = _parse(text)
    for number, token in enumerate(_images(tokens)):
        data = (folder / IMAGES / f"{number}.png").read_bytes()
        token.attrs["src"] = data_uri(data, "image/png")
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


_MARKDOWN = MarkdownIt("js-default", {"html": False, "linkify": False}).disable("link")
# Only what it is given: a link out of a blind study helps nobody, and `data:` is our own.
_MARKDOWN.validateLink = lambda url: ":" not in url.partition("/")[0]  # type: ignore[method-assign]


def _parse(text: str) -> list[Token]:
    return _MARKDOWN.parse(text)


def _images(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or () if child.type == "image"]
